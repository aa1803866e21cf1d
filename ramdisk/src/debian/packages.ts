import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, run } from '../run.ts'
import { Apt, type PackageRecord } from './apt.ts'
import { keepLinksInside } from './links.ts'

/** A package's files, unpacked below `root` as they would lie below `/`. */
export interface DebianPackage {
  name: string
  version: string
  root: string
}

/**
 * Brings the newest versions of Debian 12 packages into `cache` and unpacks them there. What is there already is not fetched
 * again; other versions of these packages are removed. No dependency is followed and no script of a package is run.
 *
 * @throws {CommandError} when a package is unknown, cannot be fetched or is damaged.
 */
export async function fetchPackages(
  cache: string,
  apt: Apt,
  names: readonly string[],
): Promise<DebianPackage[]> {
  const unpacked = join(cache, 'unpacked')
  await mkdir(unpacked, { recursive: true })
  try {
    return await bring(unpacked, apt, await apt.show(names))
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    // The mirror has dropped a version that the list still names.
    await apt.update()
    return bring(unpacked, apt, await apt.show(names))
  }
}

async function bring(unpacked: string, apt: Apt, records: PackageRecord[]): Promise<DebianPackage[]> {
  const packages = records.map((record) => ({
    name: record.name,
    version: record.version,
    root: join(unpacked, directoryName(record)),
  }))
  const missing = packages.filter(({ root }) => !existsSync(root))
  const work = await mkdtemp(join(unpacked, '.new-'))
  try {
    if (missing.length > 0)
      await apt.download(
        missing.map(({ name, version }) => `${name}=${version}`),
        work,
      )
    const files = await readdir(work)
    for (const each of missing) {
      const file = files.find((name) => name.startsWith(`${each.name}_`) && name.endsWith('.deb')) ?? ''
      await unpack(join(work, file), join(work, each.name), each.root)
    }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  await removeOthers(unpacked, records)
  return packages
}

/** The hash stands for the content: a version alone can come from two archives. */
const directoryName = ({ name, sha256 }: PackageRecord): string => `${name}_${sha256.slice(0, 16)}`

async function unpack(deb: string, work: string, root: string): Promise<void> {
  await run('dpkg-deb', ['--extract', deb, work])
  await keepLinksInside(work)
  await rename(work, root).catch((error: NodeJS.ErrnoException) => {
    // Another build was quicker with the same package.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  })
}

async function removeOthers(unpacked: string, records: PackageRecord[]): Promise<void> {
  const kept = new Set(records.map(directoryName))
  const names = new Set(records.map(({ name }) => name))
  const old = (await readdir(unpacked)).filter(
    (each) => names.has(each.split('_')[0] ?? '') && !kept.has(each),
  )
  for (const each of old) await rm(join(unpacked, each), { recursive: true, force: true })
}
