import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MiB, options, scratch, usedDisk } from '../../deploy-image.fixture.ts'
import { deployImage } from '../../deploy-image.ts'
import type { DeployOptions, DeployResult } from '../../deploy-image.types.ts'
import { type DiskState, ImagingError } from '../../error.ts'
import { fileHandler, type FileOptions, type Handler, type SeenRequest } from './scripted-server.ts'

/** A raw image of an odd size, without zeros that could hide a mistake. Its first bytes are nobody's magic. */
export const image: Buffer = Buffer.concat([Buffer.from('byoi'), randomBytes(3 * MiB + 13)])
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const rightSum = { type: 'sha256', value: sha256(image) } as const

const DISK = 5 * MiB
const USED = Buffer.alloc(DISK, 0xff)
const ZEROS = Buffer.alloc(MiB)

export interface Ended {
  error: ImagingError | null
  result: DeployResult | null
  /** The whole disk, which was full of 0xFF before. */
  disk: Buffer
  log: string[]
}

/** Deploys a raw image from `url` onto a used file of 5 MiB. */
export async function deploy(
  url: string,
  given: Partial<DeployOptions['image']> = {},
  more: Partial<DeployOptions> = {},
): Promise<Ended> {
  await using folder = await scratch()
  const path = await usedDisk(join(folder.path, 'disk'), DISK)
  const log: string[] = []
  const onLog = (line: string): void => void log.push(line)
  const ended = await deployImage(options({ url, ...given }, path, { onLog, ...more })).then(
    (result) => ({ result, error: null }),
    (error: unknown) => {
      assert.ok(error instanceof ImagingError)
      return { result: null, error }
    },
  )
  return { ...ended, disk: await readFile(path), log }
}

/** What the disk holds, and that this is what was told. */
export function assertDisk({ error, result, disk }: Ended, state: DiskState): void {
  assert.equal((error ?? result)?.disk, state, error?.cause)
  if (state === 'untouched') assert.ok(disk.equals(USED), 'the disk was changed')
  if (state === 'unbootable') {
    for (const area of [disk.subarray(0, MiB), disk.subarray(-MiB)])
      assert.ok(area.equals(ZEROS), 'a boot area is not zero')
  }
  if (state === 'complete') assert.ok(disk.subarray(0, image.length).equals(image), 'the disk differs')
}

/** Fails as said: a cause and a remedy of one sentence each, and nothing secret in what is told. */
export function assertFailure(ended: Ended, code: string, cause: RegExp, disk: DiskState): void {
  const { error, log } = ended
  assert.ok(error, 'it went well, though it should have failed')
  assert.equal(error.code, code, error.cause)
  assert.match(error.cause, cause)
  for (const sentence of [error.cause, error.remedy]) assert.match(sentence, /^\S[^\n]*\.$/)
  assert.doesNotMatch([error.message, error.cause, error.remedy, ...log].join('\n'), /s3cret/)
  assertDisk(ended, disk)
}

/** What a request is for, in the order in which a server with ranges is asked. */
export type Stage = 'open' | 'look' | 'whole' | 'resume'

export function stageOf({ headers }: SeenRequest): Stage {
  const range = headers.get('range')
  if (range === undefined) return 'whole'
  if (!headers.has('if-range')) return 'open'
  return range.endsWith('-') ? 'resume' : 'look'
}

/** `count`: how many requests of this stage came before. */
export type StageHandler = (...args: [...Parameters<Handler>, count: number]) => ReturnType<Handler>

/** Serves `image` as it should, but for the stages that are given. */
export function staged(stages: Partial<Record<Stage, StageHandler>>, file: FileOptions = {}): Handler {
  const serve = fileHandler(image, file)
  const counts = { open: 0, look: 0, whole: 0, resume: 0 }
  return (request, socket, index) => {
    const stage = stageOf(request)
    return (stages[stage] ?? serve)(request, socket, index, counts[stage]++)
  }
}

/** The first byte that a request asks for. */
export const firstOf = ({ headers }: SeenRequest): number =>
  Number(/^bytes=(\d+)-/.exec(headers.get('range') ?? '')?.[1] ?? 0)
