import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** What `postmaster.pid` in a data directory says (PostgreSQL, src/include/utils/pidfile.h). */
export interface PostmasterFile {
  pid: number
  socketDirectory: string
  ready: boolean
}

/** null when there is no such file, or it is not whole yet. */
export async function readPostmasterFile(data: string): Promise<PostmasterFile | null> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n').map((line) => line.trim())
  const pid = Number(lines[0])
  if (!Number.isSafeInteger(pid) || pid <= 0) return null
  return { pid, socketDirectory: lines[4] ?? '', ready: lines[7] === 'ready' }
}

/** Whether the process is a postmaster of this data directory: a pid that was used again must not be signalled. */
export async function isPostmasterOf(pid: number, data: string): Promise<boolean> {
  try {
    if (basename((await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '')) !== 'postgres')
      return false
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
    return words[words.indexOf('-D') + 1] === data
  } catch {
    return false
  }
}

/** Whether any process works in this data directory: postmaster and backends have it as their working directory. */
export async function isInUse(data: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const places = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')))
  return places.includes(data)
}
