import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What QEMU makes of an image. */
export interface Judgement {
  /** Exit status of "qemu-img check": 0 sound, 1 could not be checked, 2 corrupt, 3 clusters are leaked. */
  status: number
  /** What it said, a line each. */
  said: string[]
  /** The disk; null where QEMU cannot read all of it. */
  content: Buffer | null
}

/**
 * Starting a program takes much longer than reading a tiny image: the disks of all images are read by one. `sizes`: bytes of each
 * disk. `folder` is made and removed.
 */
export async function judgeByQemu(folder: string, images: Buffer[], sizes: number[]): Promise<Judgement[]> {
  await mkdir(folder)
  try {
    const names = images.map((_, index) => `${String(index).padStart(6, '0')}.qcow2`)
    await Promise.all(images.map((image, index) => writeFile(join(folder, names[index] as string), image)))
    await run('sh', [join(import.meta.dirname, 'check-images.sh'), folder])
    const judgements = await Promise.all(
      names.map((name) => readCheck(join(folder, name.replace('.qcow2', '.check')))),
    )
    const groups = Map.groupBy(names.keys(), (index) => (judgements[index]?.status === 1 ? index : -1))
    for (const which of groups.values()) await readDisks(folder, names, sizes, which, judgements)
    return judgements
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function readCheck(path: string): Promise<Judgement> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '')
  const status = Number(/^status (\d+)$/.exec(lines.pop() ?? '')?.[1] ?? 1)
  return { status, said: lines, content: null }
}

/** All at once; where that fails, the halves of them. */
async function readDisks(
  folder: string,
  names: string[],
  sizes: number[],
  which: number[],
  judgements: Judgement[],
): Promise<void> {
  if (which.length === 0) return
  const raw = join(folder, 'disks.raw')
  const paths = which.map((index) => join(folder, names[index] as string))
  try {
    await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', ...paths, raw])
  } catch {
    if (which.length === 1) return
    const half = Math.ceil(which.length / 2)
    await readDisks(folder, names, sizes, which.slice(0, half), judgements)
    await readDisks(folder, names, sizes, which.slice(half), judgements)
    return
  }
  const disks = await readFile(raw)
  let at = 0
  for (const index of which) {
    const size = sizes[index] as number
    ;(judgements[index] as Judgement).content = disks.subarray(at, at + size)
    at += size
  }
  if (at !== disks.length) throw new Error(`qemu-img made ${disks.length} bytes of disks of ${at} bytes`)
}
