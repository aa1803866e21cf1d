/**
 * What "qemu-img check" calls a corruption although byoi deploys the image. All of it is about numbers that only a program that
 * writes into the image uses; a reader, byoi's or QEMU's, sees the same disk with or without it.
 */
export const ACCEPTED_CORRUPTION: { says: RegExp; why: string }[] = [
  {
    says: /^ERROR cluster \d+ refcount=\d+ reference=\d+$/,
    why: 'A cluster is used more often than its refcount says. Refcounts tell a writer where it may write; a reader follows the tables.',
  },
  {
    says: /^ERROR OFLAG_COPIED (?:L2|data) cluster: /,
    why: 'Bit 63 of an entry tells a writer whether it may write in place; a reader ignores it.',
  },
  {
    says: /^ERROR refcount block \d+ (?:is not cluster aligned; refcount table entry corrupted|is outside image|refcount=\d+)$/,
    why: 'A refcount block is not where the refcount table says. A reader needs none.',
  },
]

/** Lines of "qemu-img check" that are no corruption. */
const HARMLESS: RegExp[] = [/^Leaked cluster \d+ refcount=\d+ reference=\d+$/, /^WARNING: /]

/** The lines that are neither harmless nor listed. */
export const unlisted = (lines: string[]): string[] =>
  lines.filter((line) => ![...HARMLESS, ...ACCEPTED_CORRUPTION.map(({ says }) => says)].some((each) => each.test(line)))
