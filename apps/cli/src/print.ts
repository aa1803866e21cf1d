import type { Context } from './context.ts'
import { safeJson } from './inspect-page/safe-text.ts'

/** One JSON value on one line of standard output; words of strangers in it say nothing to a terminal. */
export function printJson(value: unknown, context: Context): void {
  context.stdout.write(`${safeJson(JSON.stringify(value))}\n`)
}

/** Rows in columns that are as wide as they need to be. */
export function printTable(rows: string[][], context: Context): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows)
    context.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    )
}
