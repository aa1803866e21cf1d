import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { promisify } from 'node:util'
import { StartError } from '../start-error.ts'

/** The user that PostgreSQL runs as. It refuses to run as root. */
export interface PostgresUser {
  uid: number
  gid: number
}

const name = 'byoi-pg'

/** `byoi-pg` when we are root (created when missing: `nobody` is shared with other programs), else ourselves (null). */
export async function postgresUser(): Promise<PostgresUser | null> {
  if (process.getuid?.() !== 0) return null
  const found = await findUser()
  if (found !== null) return found
  try {
    const options = ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin']
    await promisify(execFile)('useradd', [...options, name])
  } catch (cause) {
    // Another start may have made it meanwhile; then it is there now.
    const created = await findUser()
    if (created !== null) return created
    throw new StartError(
      `The user ${name}, which the database runs as, could not be created.`,
      `Create it by hand (useradd --system --no-create-home ${name}), or run byoi up as another user than root.`,
      cause,
    )
  }
  const created = await findUser()
  if (created === null)
    throw new StartError(`The user ${name} is not in /etc/passwd.`, `Create the user ${name}.`)
  return created
}

async function findUser(): Promise<PostgresUser | null> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n')
  const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':')
  return fields === undefined ? null : { uid: Number(fields[2]), gid: Number(fields[3]) }
}

/** The first directory, from the root, that the user cannot pass through on the way to `path`; null when there is none. */
export async function firstBarrier(path: string, user: PostgresUser): Promise<string | null> {
  const directories: string[] = []
  for (let at = resolve(path); ; at = dirname(at)) {
    directories.unshift(at)
    if (at === dirname(at)) break
  }
  for (const directory of directories) {
    const { mode, uid, gid } = await stat(directory)
    const execute = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
    if ((mode & execute) === 0) return directory
  }
  return null
}
