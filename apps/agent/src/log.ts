/** One line of plain text with its time on standard output, where the server's console shows and records it. */
export type Log = (line: string) => void

export const logToStdout: Log = (line) => {
  process.stdout.write(`${new Date().toISOString()} ${line.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')}\n`)
}

/** What a thrown value says, in one line. */
export const sentenceOf = (thrown: unknown): string => {
  if (!(thrown instanceof Error)) return String(thrown)
  const code = (thrown as NodeJS.ErrnoException).code
  return thrown.message === '' ? (code ?? thrown.name) : thrown.message
}
