import { ImagingError } from '../error.ts'
import { Random } from './random.ts'

/**
 * Makes inputs of one format, sound ones and such that are wrong in a field or in a byte, and feeds them to the parser that a
 * deployment uses.
 */
export interface Fuzzer {
  /** A file, a few KiB long. Nothing but `random` decides what it is. */
  make(random: Random): Buffer
  /**
   * Reads `input` as a deployment does. Resolves where it is accepted, rejects with the ImagingError that it is refused with, and
   * with any other error where the parser is wrong. Nothing but `input` decides.
   */
  check(input: Buffer): void | Promise<void>
}

/** `refused`: by which sentence, its numbers taken out. `fault`: the parser is wrong, and how. */
export type Outcome =
  | { kind: 'accepted' }
  | { kind: 'refused'; by: string }
  | { kind: 'fault'; fault: string }

/** Longest wall-clock time for one input, in ms: far more than any needs, and not more than the CPU time that is promised. */
export const MOST_MS = 2000

/** Never rejects. */
export async function judge(fuzzer: Fuzzer, input: Buffer): Promise<Outcome> {
  const began = performance.now()
  const used = began + MOST_MS
  const outcome = await outcomeOf(fuzzer, input)
  if (performance.now() < used || outcome.kind === 'fault') return outcome
  // Other programs may have had the CPU meanwhile.
  const before = process.cpuUsage()
  await outcomeOf(fuzzer, input)
  const { user, system } = process.cpuUsage(before)
  const ms = (user + system) / 1000
  return ms > MOST_MS ? { kind: 'fault', fault: `takes ${Math.round(ms)} ms of CPU` } : outcome
}

async function outcomeOf(fuzzer: Fuzzer, input: Buffer): Promise<Outcome> {
  try {
    await fuzzer.check(input)
    return { kind: 'accepted' }
  } catch (error) {
    if (!(error instanceof ImagingError)) return { kind: 'fault', fault: told(error) }
    const flaw = flawOf(error)
    if (flaw !== null) return { kind: 'fault', fault: `${flaw}: ${error.stack}` }
    return { kind: 'refused', by: `${error.code}: ${error.cause.replace(/0x[0-9a-f]+|\d+/g, '#')}` }
  }
}

const told = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

/** A sentence of letters, digits and punctuation: an image cannot put line breaks or terminal commands into it. */
const SENTENCE = /^[\p{L}\p{N}\p{P}\p{S} ]{1,600}\.$/u

function flawOf({ code, cause, remedy }: ImagingError): string | null {
  if (code === 'INTERNAL') return 'an internal error'
  if (!SENTENCE.test(cause)) return 'a cause that is no sentence'
  return SENTENCE.test(remedy) ? null : 'a remedy that is no sentence'
}

export const inputOf = (fuzzer: Fuzzer, seed: number): Buffer => fuzzer.make(new Random(seed))
