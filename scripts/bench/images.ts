/** The images that are measured: made once, kept under .cache/bench. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { link, mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { command } from '../run-command.ts'

const MiB = 1024 * 1024
/** Virtual size, and data that is not zero, in bytes. */
export const VIRTUAL = 6144 * MiB
export const DATA = 2200 * MiB
/** Data and holes take turns, in pieces of this size. */
const STRIPE = 64 * MiB

export type ImageType = 'raw' | 'qcow2' | 'vmdk' | 'ova'
/** What an image is decoded with. `clusters`: piece by piece; else one stream around the whole image. */
export type Packing = 'none' | 'deflate clusters' | 'zstd clusters' | 'gzip' | 'zstd' | 'xz'

export interface BenchImage {
  case: string
  path: string
  type: ImageType
  packing: Packing
  sha256: string
  /** Of the file. */
  bytes: number
}

interface Recipe {
  case: string
  /** Name of the file. */
  name: string
  type: ImageType
  packing: Packing
  /** Makes it of the raw image, or of the file of another case. */
  make: (to: string, signal: AbortSignal) => Promise<unknown>
}

const convert =
  (cache: string, format: string, ...options: string[]): Recipe['make'] =>
  (to, signal) =>
    command('qemu-img', ['convert', '-f', 'raw', '-O', format, ...options, join(cache, RAW), to], { signal })

/** `program` writes to its standard output. */
const pack =
  (cache: string, program: string): Recipe['make'] =>
  (to, signal) =>
    command('sh', ['-c', `${program} <"$1" >"$2"`, 'sh', join(cache, RAW), to], { signal })

const RAW = 'mixed.raw'
const VMDK = 'mixed.vmdk'

const recipesIn = (cache: string): Recipe[] => [
  { case: 'raw', name: RAW, type: 'raw', packing: 'none', make: makeRaw },
  { case: 'qcow2', name: 'mixed.qcow2', type: 'qcow2', packing: 'none', make: convert(cache, 'qcow2') },
  {
    case: 'qcow2-zlib',
    name: 'mixed-zlib.qcow2',
    type: 'qcow2',
    packing: 'deflate clusters',
    make: convert(cache, 'qcow2', '-c'),
  },
  {
    case: 'qcow2-zstd',
    name: 'mixed-zstd.qcow2',
    type: 'qcow2',
    packing: 'zstd clusters',
    make: convert(cache, 'qcow2', '-c', '-o', 'compression_type=zstd'),
  },
  {
    case: 'vmdk',
    name: VMDK,
    type: 'vmdk',
    packing: 'deflate clusters',
    make: convert(cache, 'vmdk', '-o', 'subformat=streamOptimized'),
  },
  {
    case: 'ova',
    name: 'mixed.ova',
    type: 'ova',
    packing: 'deflate clusters',
    make: (to, signal) => makeOva(join(cache, VMDK), to, signal),
  },
  {
    case: 'raw-zst',
    name: 'mixed.raw.zst',
    type: 'raw',
    packing: 'zstd',
    make: pack(cache, 'zstd -q -3 -T2 -c'),
  },
  { case: 'raw-gz', name: 'mixed.raw.gz', type: 'raw', packing: 'gzip', make: pack(cache, 'gzip -6 -c') },
  { case: 'raw-xz', name: 'mixed.raw.xz', type: 'raw', packing: 'xz', make: pack(cache, 'xz -2 -T2 -c') },
]

export const CASES = recipesIn('').map((recipe) => recipe.case)

/**
 * The images of the cases that are `wanted`. Makes what is missing, which takes minutes the first time; `log` hears of each. The
 * reason of `signal` is thrown.
 */
export async function benchImages(
  cache: string,
  wanted: string[],
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<BenchImage[]> {
  await mkdir(cache, { recursive: true })
  const images: BenchImage[] = []
  for (const recipe of recipesIn(cache)) {
    const { name, type, packing } = recipe
    const isNeeded = wanted.includes(recipe.case) || name === RAW || (name === VMDK && wanted.includes('ova'))
    if (!isNeeded) continue
    const path = join(cache, name)
    await make(path, recipe.make, log, signal)
    if (!wanted.includes(recipe.case)) continue
    const { size: bytes } = await stat(path)
    images.push({ case: recipe.case, path, type, packing, sha256: await sha256Of(path, log, signal), bytes })
  }
  return images
}

/** The least that names a disk: DMTF DSP0243. */
const OVF = `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="file1" ovf:href="disk.vmdk"/></References>
  <DiskSection>
    <Info>Disks</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="${VIRTUAL}" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
</Envelope>
`

/** As a person packs one, with GNU tar. */
async function makeOva(vmdk: string, to: string, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(dirname(to), 'ova-'))
  try {
    await writeFile(join(folder, 'vm.ovf'), OVF)
    await link(vmdk, join(folder, 'disk.vmdk'))
    await command('tar', ['--format=ustar', '-C', folder, '-cf', to, 'vm.ovf', 'disk.vmdk'], { signal })
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function make(
  path: string,
  maker: Recipe['make'],
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (existsSync(path)) return
  log(`making ${path} (once; takes up to a minute or two) ...`)
  const started = performance.now()
  const part = `${path}.part`
  try {
    await maker(part, signal)
    signal.throwIfAborted()
    await rename(part, path)
  } catch (error) {
    await rm(part, { force: true })
    throw signal.aborted ? signal.reason : error
  }
  log(`  made in ${Math.round((performance.now() - started) / 1000)} s`)
}

/** A GPT disk with one partition of mixed data and holes. */
async function makeRaw(path: string, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.truncate(VIRTUAL)
    const gap = Math.floor(((VIRTUAL - 4 * MiB) * STRIPE) / DATA)
    for (let done = 0, at = 2 * MiB; done < DATA; done += STRIPE, at += gap - (gap % 4096)) {
      signal.throwIfAborted()
      await file.write(mixedData(Math.min(STRIPE, DATA - done)), 0, null, at)
    }
  } finally {
    await file.close()
  }
  await command('sfdisk', ['--quiet', path], { input: 'label: gpt\nstart=2MiB\n' })
}

/** Pieces of 4 KiB, seven of ten text and the others noise, which deflate makes about 2.2 times smaller, as it does a system. */
export function mixedData(length: number): Buffer {
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
