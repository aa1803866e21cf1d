/**
 * A Debian 12 cloud image (qcow2, UEFI and BIOS, cloud-init) for the demo and the lab: Debian's own where its image site can be
 * reached, else built from Debian's packages.
 */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { ensureTools, widenPath } from './debian-packages.ts'
import { makeDisk, makeRoot, takeRoot, type DiskLayout, type RootFileSystem } from './debian-image/disk.ts'
import { grubFiles } from './debian-image/grub.ts'
import { makeRootTree } from './debian-image/root-tree.ts'
import { command } from './run-command.ts'

export interface DebianImage {
  path: string
  type: 'qcow2'
  source: 'downloaded' | 'built'
}

export interface DebianImageOptions {
  /** Folder that keeps the image from run to run. */
  cache?: string
  log?: (line: string) => void
  /** Always built, with this layout; by default Debian's own image will do, whose layout is `usual`. */
  layout?: DiskLayout
}

/** What a built image has when nobody asks for more. */
const usual: DiskLayout = { table: 'gpt', sectorSize: 512 }

const site = 'https://cloud.debian.org/images/cloud/bookworm/latest'
const officialName = 'debian-12-genericcloud-amd64.qcow2'
/** How long the image site has to answer, in ms: without an Internet connection nobody should wait for long. */
const answerMs = 4000

const buildTools = {
  mmdebstrap: 'mmdebstrap',
  mke2fs: 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
  sfdisk: 'fdisk',
  'grub-mkimage': 'grub-common',
  'dpkg-deb': 'dpkg',
  losetup: 'mount',
  'qemu-img': 'qemu-utils',
  ...grubFiles,
}

/** `$XDG_CACHE_HOME/byoi`, by default `~/.cache/byoi`. */
export const defaultCache = (): string =>
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'byoi')

async function answer(url: string): Promise<Response> {
  const control = new AbortController()
  const timer = setTimeout(() => control.abort(), answerMs)
  try {
    const response = await fetch(url, { signal: control.signal })
    if (!response.ok) throw new Error(`${url} answered ${response.status}`)
    return response
  } finally {
    clearTimeout(timer)
  }
}

/** Fetches Debian's own image into `path`, checked against Debian's SHA512SUMS. False where the site cannot be reached. */
async function download(path: string, log: (line: string) => void): Promise<boolean> {
  const part = `${path}.part`
  try {
    const sums = await (await answer(`${site}/SHA512SUMS`)).text()
    const expected = sums
      .split('\n')
      .find((line) => line.endsWith(officialName))
      ?.split(' ')[0]
    const { body } = await answer(`${site}/${officialName}`)
    if (expected === undefined || body === null) return false
    log(`Downloading ${site}/${officialName} ...`)
    const hash = createHash('sha512')
    const hashing = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk)
        done(null, chunk)
      },
    })
    await pipeline(Readable.fromWeb(body), hashing, createWriteStream(part))
    if (hash.digest('hex') !== expected) throw new Error('the downloaded image has another SHA-512')
    await rename(part, path)
    return true
  } catch {
    await rm(part, { force: true })
    return false
  }
}

/** Changes when the recipe changes, and so does the name of the image that is built. */
async function recipeHash(): Promise<string> {
  const folder = join(import.meta.dirname, 'debian-image')
  const hash = createHash('sha256')
  for (const name of (await readdir(folder)).toSorted()) hash.update(await readFile(join(folder, name)))
  return hash.digest('hex').slice(0, 12)
}

/** The image's root file system: out of another image of the same recipe where there is one, because installing takes minutes. */
async function rootFileSystem(
  work: string,
  sibling: string | undefined,
  log: (line: string) => void,
): Promise<RootFileSystem> {
  if (sibling !== undefined) {
    const raw = join(work, 'sibling.raw')
    await command('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', sibling, raw])
    return await takeRoot(work, raw)
  }
  log(`Building a Debian 12 image from Debian packages; this takes some minutes, once ...`)
  const tree = join(work, 'tree')
  await makeRootTree(tree, work)
  log('Debian is installed; making the disk image ...')
  return await makeRoot(work, tree)
}

async function build(
  path: string,
  layout: DiskLayout,
  sibling: string | undefined,
  log: (line: string) => void,
): Promise<void> {
  if (process.arch !== 'x64') throw new Error('the image can be built on x64 only; pass --image URL or FILE')
  const missing = await ensureTools(buildTools, 'to build a Debian image')
  if (missing.length > 0) throw new Error(`the Debian image needs ${missing.join(', ')}`)
  if (process.getuid?.() !== 0) {
    throw new Error('building the Debian image needs root; run as root, or pass --image URL or FILE')
  }
  const work = await mkdtemp(join(dirname(path), 'build-'))
  try {
    const root = await rootFileSystem(work, sibling, log)
    const raw = join(work, 'disk.raw')
    await makeDisk(raw, root, work, layout)
    await command('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, join(work, 'disk.qcow2')])
    await rename(join(work, 'disk.qcow2'), path)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** `debian-12-RECIPE.qcow2` for the usual layout, else `debian-12-RECIPE-mbr-512.qcow2` and so on. */
const nameOf = (recipe: string, { table, sectorSize }: DiskLayout): string =>
  table === usual.table && sectorSize === usual.sectorSize
    ? `debian-12-${recipe}.qcow2`
    : `debian-12-${recipe}-${table}-${sectorSize}.qcow2`

/** Removes images of older recipes, and the work of a build that was killed more than a day ago. */
async function removeOld(cache: string, recipe: string): Promise<void> {
  const dayAgo = Date.now() - 24 * 3600 * 1000
  for (const name of await readdir(cache)) {
    const path = join(cache, name)
    const [, itsRecipe] = /^debian-12-([0-9a-f]{12})(?:-[a-z]+-\d+)?\.qcow2$/.exec(name) ?? []
    const isOldImage = itsRecipe !== undefined && itsRecipe !== recipe
    const isOldWork = name.startsWith('build-') && (await stat(path)).mtimeMs < dayAgo
    if (isOldImage || isOldWork) await rm(path, { recursive: true, force: true })
  }
}

/**
 * Gives the image, from the cache folder where it is there already.
 * @throws {Error} when it can be neither downloaded nor built, with what is missing.
 */
export async function debianImage(options: DebianImageOptions = {}): Promise<DebianImage> {
  const cache = options.cache ?? defaultCache()
  const log = options.log ?? console.log
  const layout = options.layout ?? usual
  await mkdir(cache, { recursive: true })
  const names = await readdir(cache)
  const official = join(cache, officialName)
  const downloaded: DebianImage = { path: official, type: 'qcow2', source: 'downloaded' }
  if (options.layout === undefined && names.includes(officialName)) return downloaded
  const recipe = await recipeHash()
  const built = join(cache, nameOf(recipe, layout))
  if (names.includes(basename(built))) return { path: built, type: 'qcow2', source: 'built' }
  if (options.layout === undefined && (await download(official, log))) return downloaded
  const sibling = names.find((name) => name.startsWith(`debian-12-${recipe}`))
  await build(built, layout, sibling === undefined ? undefined : join(cache, sibling), log)
  await removeOld(cache, recipe)
  return { path: built, type: 'qcow2', source: 'built' }
}

const usage =
  'node scripts/debian-image.ts [--cache DIR] [--table gpt|mbr] [--sector-size 512|4096]\nWith a layout it is always built.'

/** The options, or undefined on wrong usage. */
function readOptions(args: string[]): DebianImageOptions | undefined {
  const options = {
    cache: { type: 'string' },
    table: { type: 'string' },
    'sector-size': { type: 'string' },
  } as const
  const { cache, table, 'sector-size': size } = parseArgs({ args, options }).values
  const layout = { table: table ?? usual.table, sectorSize: Number(size ?? usual.sectorSize) }
  const known = ['gpt 512', 'gpt 4096', 'mbr 512'].includes(`${layout.table} ${layout.sectorSize}`)
  if (!known) return undefined
  const asked = table !== undefined || size !== undefined
  return {
    ...(cache === undefined ? {} : { cache }),
    ...(asked ? { layout: layout as DiskLayout } : {}),
  }
}

if (import.meta.main) {
  widenPath()
  const options = readOptions(process.argv.slice(2))
  if (options === undefined) {
    console.error(usage)
    process.exit(2)
  }
  const image = await debianImage(options)
  console.log(`${image.path} (${image.type}, ${image.source})`)
}
