import { createHash, createHmac } from 'node:crypto'

const wordBytes = 20

/**
 * The word in the URLs under which the boot medium of one epoch can be fetched. It follows from the boot secret, so that every
 * replica can tell it, and does not lead back to it. Lower-case hex: BMCs stumble over other characters in URLs.
 */
export const bootWord = (secret: string): string =>
  createHmac('sha256', secret)
    .update('byoi boot medium')
    .digest('hex')
    .slice(0, wordBytes * 2)

export const isBootWord = (text: string): boolean => /^[0-9a-f]{40}$/.test(text)

/** Under which the word is found: the database does not hold it. */
export const hashOfWord = (word: string): string => createHash('sha256').update(word).digest('hex')
