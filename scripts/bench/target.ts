/** What is written to: a loop device over tmpfs for root, else a file. Fresh before each run. */
import { rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command, tryCommand } from '../run-command.ts'

export interface Target {
  kind: 'loop' | 'file'
  path: string
  remove(): Promise<void>
}

export async function canLoop(): Promise<boolean> {
  return process.getuid?.() === 0 && (await tryCommand('losetup', ['--find'])).status === 0
}

/** A target of `size` bytes that reads zero; files are made in `folder`. */
export async function freshTarget(kind: Target['kind'], folder: string, size: number): Promise<Target> {
  const file = join(kind === 'loop' ? '/dev/shm' : folder, `byoi-bench-${process.pid}.raw`)
  await writeFile(file, '')
  await truncate(file, size)
  if (kind === 'file') return { kind, path: file, remove: () => rm(file) }
  const attached = command('losetup', ['--find', '--show', '--', file]).catch(async (error: unknown) => {
    await rm(file)
    throw error
  })
  const device = (await attached).toString().trim()
  const remove = async () => {
    await command('losetup', ['--detach', device])
    await rm(file)
  }
  return { kind, path: device, remove }
}
