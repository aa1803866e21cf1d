/** The images that are measured: made once, kept under .cache/bench. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { command } from '../run-command.ts'

const MiB = 1024 * 1024
/** Virtual size, and data that is not zero, in bytes. */
export const VIRTUAL = 6144 * MiB
const DATA = 2200 * MiB
/** Data and holes take turns, in pieces of this size. */
const STRIPE = 64 * MiB

export interface BenchImage {
  case: string
  path: string
  type: 'raw' | 'qcow2'
  sha256: string
  /** Of the file. */
  bytes: number
}

/** Makes what is missing, which takes minutes the first time; `log` hears of each. The reason of `signal` is thrown. */
export async function benchImages(
  cache: string,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<BenchImage[]> {
  await mkdir(cache, { recursive: true })
  const raw = join(cache, 'mixed.raw')
  const convert = (args: string[]) => (to: string) =>
    command('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...args, raw, to], { signal })
  await make(raw, (to) => makeRaw(to, log, signal), log, signal)
  const plain = join(cache, 'mixed.qcow2')
  await make(plain, convert([]), log, signal)
  const zlib = join(cache, 'mixed-zlib.qcow2')
  await make(zlib, convert(['-c']), log, signal)
  const image = async (name: string, path: string, type: BenchImage['type']): Promise<BenchImage> => {
    const { size: bytes } = await stat(path)
    return { case: name, path, type, sha256: await sha256Of(path, log, signal), bytes }
  }
  return [
    await image('raw', raw, 'raw'),
    await image('qcow2', plain, 'qcow2'),
    await image('qcow2-zlib', zlib, 'qcow2'),
  ]
}

async function make(
  path: string,
  maker: (to: string) => Promise<unknown>,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (existsSync(path)) return
  log(`making ${path} (once; takes up to a minute or two) ...`)
  const started = performance.now()
  const part = `${path}.part`
  try {
    await maker(part)
    signal.throwIfAborted()
    await rename(part, path)
  } catch (error) {
    await rm(part, { force: true })
    throw signal.aborted ? signal.reason : error
  }
  log(`  made in ${Math.round((performance.now() - started) / 1000)} s`)
}

/** A GPT disk with one partition of mixed data and holes. */
async function makeRaw(path: string, log: (line: string) => void, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.truncate(VIRTUAL)
    const gap = Math.floor(((VIRTUAL - 4 * MiB) * STRIPE) / DATA)
    for (let done = 0, at = 2 * MiB; done < DATA; done += STRIPE, at += gap - (gap % 4096)) {
      signal.throwIfAborted()
      if (done % (8 * STRIPE) === 0) log(`  ${done / MiB} of ${DATA / MiB} MiB`)
      await file.write(mixedData(Math.min(STRIPE, DATA - done)), 0, null, at)
    }
  } finally {
    await file.close()
  }
  await command('sfdisk', ['--quiet', path], { input: 'label: gpt\nstart=2MiB\n' })
}

/** Pieces of 4 KiB, seven of ten text and the others noise, which deflate makes about 2.2 times smaller, as it does a system. */
function mixedData(length: number): Buffer {
  const noise = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
  const data = noise.update(Buffer.alloc(length))
  for (let at = 0; at < length; at += 4096) if ((at / 4096) % 10 < 7) writeWords(data, at, at + 4096)
  return data
}

const words = Array.from({ length: 512 }, (_, n) =>
  Buffer.from(`${(n * 2654435761) % 99991} `.padStart(3 + (n % 9), 'etaoinshr')),
)

/** Replaces noise by words that it chooses. */
function writeWords(data: Buffer, from: number, to: number): void {
  const choices = Buffer.from(data.subarray(from, to))
  for (let at = from, choice = 0; at < to; choice += 2) {
    at += (words[choices.readUInt16LE(choice) % words.length] as Buffer).copy(data, at, 0, to - at)
  }
}

/** Kept beside the file. */
async function sha256Of(path: string, log: (line: string) => void, signal: AbortSignal): Promise<string> {
  const kept = `${path}.sha256`
  if (existsSync(kept)) return (await readFile(kept, 'utf8')).trim()
  log(`hashing ${path} (once) ...`)
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: MiB }), hash, { signal })
  const hex = hash.digest('hex')
  await writeFile(kept, `${hex}\n`)
  return hex
}

/** Reads the file once, so that the page cache holds it before either side is measured. */
export async function warm(path: string, signal: AbortSignal): Promise<void> {
  for await (const _ of createReadStream(path, { highWaterMark: MiB, signal }));
}
