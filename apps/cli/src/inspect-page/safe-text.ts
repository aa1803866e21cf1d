/** Characters that a terminal could take for a command, or that change how what follows looks. */
const unsafe = /[\p{C}\p{Zl}\p{Zp}]/gu

const hex = (character: string): string => (character.codePointAt(0) ?? 0).toString(16)

/** Text of an image, for people: what is not printable as `\x1b` or `\u{202e}`. */
export const safeText = (text: string): string =>
  text.replaceAll(unsafe, (each) => {
    const digits = hex(each)
    return digits.length <= 2 ? `\\x${digits.padStart(2, '0')}` : `\\u{${digits}}`
  })

/** The same for a JSON text, which stays one of the same value. */
export const safeJson = (json: string): string =>
  json.replaceAll(unsafe, (each) =>
    each
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
