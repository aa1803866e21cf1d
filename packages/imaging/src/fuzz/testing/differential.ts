import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { ImagingError } from '../../error.ts'
import type { Settings } from '../arguments.ts'
import { keepInput } from '../kept-inputs.ts'
import { makeMutatedQcow2, readQcow2 } from '../qcow2-fuzzer.ts'
import { Random } from '../random.ts'
import { unlisted, withoutUnusedEntries } from './accepted-corruption.ts'
import { judgeByQemu } from './qemu-judge.ts'

/** Its name as a parser, and its folder of kept inputs. */
export const differential = 'qcow2-differential'

/** Largest disk that is compared, in bytes. */
const LARGEST = 256 * 1024
/** Images that QEMU is given at once, and how many times at the same time. */
const BATCH = 64
const AT_ONCE = 2

/** An image that byoi accepts, with the disk that it sees. */
interface Accepted {
  seed: number
  image: Buffer
  content: Buffer
}

export interface Comparison {
  images: number
  accepted: number
  /** Accepted, and QEMU read all of it: the disks were compared. */
  compared: number
  /** Accepted and called corrupt by "qemu-img check", for reasons that are listed unless it is among the failures. */
  corrupt: number
  /** Accepted, while QEMU does not open or read it; by what it said. */
  qemuRefuses: Map<string, number>
  /** Differences, and corruption that is not listed. */
  failures: { seed: number; image: Buffer; fault: string }[]
}

/** A generated image whose disk is whole sectors and not too large to be compared. */
export function makeComparable(seed: number): Buffer {
  const file = makeMutatedQcow2(new Random(seed))
  if (file.length < 32) return file
  const size = file.readBigUInt64BE(24)
  if (size > BigInt(LARGEST)) file.writeBigUInt64BE(size % BigInt(LARGEST), 24)
  file.writeUInt32BE((file.readUInt32BE(28) & ~511) >>> 0, 28)
  return file
}

/** Null where byoi refuses the image. */
export async function accept(seed: number, image: Buffer): Promise<Accepted | null> {
  try {
    const content = await readQcow2(image)
    return content && { seed, image, content }
  } catch (error) {
    if (error instanceof ImagingError) return null
    throw error
  }
}

export const emptyComparison = (): Comparison => ({
  images: 0,
  accepted: 0,
  compared: 0,
  corrupt: 0,
  qemuRefuses: new Map(),
  failures: [],
})

/** `folder` must not be there. */
export async function compare(folder: string, batch: Accepted[], into: Comparison): Promise<void> {
  const judgements = await judgeByQemu(
    folder,
    batch.map(({ image }) => image),
    batch.map(({ content }) => content.length),
  )
  const unclear: Accepted[] = []
  for (const [index, { status, said, content }] of judgements.entries()) {
    const { seed, image, content: own } = batch[index] as Accepted
    into.accepted++
    if (content === null) {
      const by = (said.at(-1) ?? '').replace(/\S+\.qcow2'?/g, 'IMAGE').replace(/0x[0-9a-f]+|\d+/g, '#')
      into.qemuRefuses.set(by, (into.qemuRefuses.get(by) ?? 0) + 1)
    } else {
      into.compared++
      if (!content.equals(own)) into.failures.push({ seed, image, fault: `QEMU sees another disk` })
    }
    if (status !== 2) continue
    into.corrupt++
    if (unlisted(said).length > 0) unclear.push(batch[index] as Accepted)
  }
  if (unclear.length > 0) await judgeAgain(folder, unclear, into)
}

/** Without the entries that no reader uses, nothing may be left that is not listed. */
async function judgeAgain(folder: string, batch: Accepted[], into: Comparison): Promise<void> {
  const images = batch.map(({ image }) => withoutUnusedEntries(image))
  const judgements = await judgeByQemu(
    folder,
    images,
    batch.map(({ content }) => content.length),
  )
  for (const [index, { status, said }] of judgements.entries()) {
    const { seed, image } = batch[index] as Accepted
    const [other] = unlisted(said)
    if (status === 2 && other !== undefined)
      into.failures.push({ seed, image, fault: `qemu-img check calls it corrupt: ${other}` })
  }
}

/** Compares `runs` generated images; those that byoi refuses need no comparison. A signal ends it early, with what there is. */
export async function runDifferential(
  { seed: first, runs }: Settings,
  say: (line: string) => void,
): Promise<boolean> {
  const shared = '/dev/shm' // in memory, where there is one
  const folder = await mkdtemp(join(existsSync(shared) ? shared : tmpdir(), 'byoi-differential-'))
  const began = performance.now()
  const result = emptyComparison()
  let next = first
  let toldAt = began
  let end = first + runs
  const told = new Set<string>()
  const stop = () => (end = next)
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const work = async (lane: number): Promise<void> => {
    for (let round = 0; next < end; round++) {
      const batch: Accepted[] = []
      for (; batch.length < BATCH && next < end; result.images++) {
        const seed = next++
        const image = makeComparable(seed)
        const accepted = await accept(seed, image).catch((error: Error) => {
          result.failures.push({ seed, image, fault: error.message })
          return null
        })
        if (accepted) batch.push(accepted)
      }
      try {
        if (batch.length > 0) await compare(join(folder, `${lane}-${round}`), batch, result)
      } catch (error) {
        if (end === first + runs) throw error // else the signal ended qemu-img too
      }
      tellFailures(result, told, say)
      if (performance.now() - toldAt < 10_000) continue
      toldAt = performance.now()
      say(`  ${result.images} of ${runs} images after ${((toldAt - began) / 1000).toFixed(0)} s`)
    }
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, lane) => work(lane)))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  report(result, (performance.now() - began) / 1000, say)
  const held = result.failures.length === 0 && result.images === runs
  say(held ? '1 passed, 0 failed' : '0 passed, 1 failed')
  return held
}

/** Failures that differ in numbers only are kept and told once. */
function tellFailures({ failures }: Comparison, told: Set<string>, say: (line: string) => void): void {
  for (const { seed, image, fault } of failures) {
    const key = fault.replace(/0x[0-9a-f]+|\d+/g, '#')
    if (told.has(key)) continue
    told.add(key)
    say(`${differential}: ${fault}`)
    say(`  kept as ${relative(process.cwd(), keepInput(differential, image))}`)
    say(`  again: npm run test:fuzz -- --runs 1 --seed ${seed} --only ${differential}`)
  }
}

function report(result: Comparison, seconds: number, say: (line: string) => void): void {
  for (const [by, count] of [...result.qemuRefuses].toSorted(([, a], [, b]) => b - a))
    say(`  QEMU does not read ${count} that byoi accepts: ${by}`)
  say(
    `${result.images} images in ${seconds.toFixed(0)} s (${(result.images / seconds).toFixed(0)}/s): byoi accepts ${result.accepted}; ` +
      `${result.compared} disks compared, ${result.corrupt} corrupt in listed ways, ${result.failures.length} failures`,
  )
}
