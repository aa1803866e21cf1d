import { type FatVolume, openFat, readChain } from '../filesystem/fat.ts'
import { type FatEntry, readFatDirectory } from '../filesystem/fat-directory.ts'
import { type Volume, VolumeFault } from '../filesystem/volume.ts'
import { type Cpu, readPeHeader } from './pe-header.ts'

/** A boot loader on an EFI system partition. */
export interface EfiLoader {
  /** As spelled on the partition, with backslashes: `\EFI\debian\shimx64.efi`. */
  path: string
  cpu: Cpu
}

/** What an EFI system partition holds. */
export interface EspContent {
  /** For any CPU, the one to start first in front. */
  loaders: EfiLoader[]
  /** The file at the path that was asked for, `cpu` null where it is no EFI program; null where there is none. */
  asked: { path: string; cpu: Cpu | null } | null
  /** Why not all of it could be read; completes "The file system ...". */
  fault: string | null
}

/** Levels of directories below \EFI in which loaders are looked for: \EFI\debian, \EFI\Microsoft\Boot. */
const LEVELS = 2
/** More directories of a level and more programs than any sound partition holds; the rest is not looked at. */
const MOST_DIRECTORIES = 128
const MOST_PROGRAMS = 64

/** Loaders in the order in which they are tried: removable media path, shim, GRUB, systemd-boot, Windows; then others. */
const preferred = [
  /^\\efi\\boot\\boot(x64|aa64|ia32|arm|riscv64|loongarch64)\.efi$/,
  /\\shim[^\\]*\.efi$/,
  /\\grub[^\\]*\.efi$/,
  /\\systemd-boot[^\\]*\.efi$/,
  /\\bootmgfw\.efi$/,
]
/** Programs that start no system: shim's MokManager and fallback, firmware updates, memory tests. */
const noLoader =
  /\\((mm|fb|fwupd?)(x64|aa64|ia32|arm|riscv64|loongarch64)|mokmanager|fallback|memtest[^\\]*)\.efi$/
/** Characters that no file's name has: FAT forbids them, or a terminal could take them for a command. */
const illegal = /["*/:<>?\\|\p{C}]/u

/**
 * Finds the boot loaders of an EFI system partition (UEFI specification 2.10, section 13.3). `askedPath`: a path to look up
 * as well, with either slash and in any case.
 */
export async function readEsp(volume: Volume, askedPath: string | null): Promise<EspContent> {
  const content: EspContent = { loaders: [], asked: null, fault: null }
  /** What one broken directory or file hides is passed over, as firmware does. */
  const tolerate: Tolerate = async (work) => {
    try {
      return await work
    } catch (error) {
      if (!(error instanceof VolumeFault)) throw error
      content.fault ??= error.message
      return null
    }
  }
  const fat = await tolerate(openFat(volume))
  if (!fat) return content
  if (askedPath !== null) content.asked = await tolerate(lookUp(fat, askedPath))
  for (const { path, entry } of inOrder(await findPrograms(fat, tolerate)).slice(0, MOST_PROGRAMS)) {
    const cpu = await tolerate(cpuOf(fat, entry))
    if (cpu) content.loaders.push({ path, cpu })
  }
  return content
}

type Tolerate = <T>(work: Promise<T>) => Promise<T | null>

interface Program {
  path: string
  entry: FatEntry
}

async function findPrograms(fat: FatVolume, tolerate: Tolerate): Promise<Program[]> {
  const programs: Program[] = []
  const root = (await tolerate(readFatDirectory(fat))) ?? []
  let level = root.filter((entry) => entry.isDirectory && isNamed(entry, 'EFI')).map(childOf(''))
  for (let below = 0; below <= LEVELS; below++) {
    const children: Program[] = []
    for (const { path, entry } of level.slice(0, MOST_DIRECTORIES)) {
      const entries = (await tolerate(readFatDirectory(fat, entry.cluster))) ?? []
      children.push(...entries.filter(({ name }) => !illegal.test(name)).map(childOf(path)))
    }
    programs.push(...children.filter(({ path, entry }) => !entry.isDirectory && /\.efi$/i.test(path)))
    level = children.filter(({ entry }) => entry.isDirectory)
  }
  return programs
}

const childOf =
  (parent: string) =>
  (entry: FatEntry): Program => ({ path: `${parent}\\${entry.name}`, entry })

const isNamed = (entry: FatEntry, name: string): boolean => entry.name.toLowerCase() === name.toLowerCase()

function inOrder(programs: Program[]): Program[] {
  const ranked = programs.map((program) => {
    const path = program.path.toLowerCase()
    const found = preferred.findIndex((pattern) => pattern.test(path))
    return { program, path, rank: found === -1 ? preferred.length : found }
  })
  return ranked
    .filter(({ path }) => !noLoader.test(path))
    .sort((a, b) => a.rank - b.rank || (a.path < b.path ? -1 : 1))
    .map(({ program }) => program)
}

/** The CPU that an EFI application is for; null for what firmware does not start as one. */
async function cpuOf(fat: FatVolume, { cluster, size }: FatEntry): Promise<Cpu | null> {
  const read = (offset: number, length: number): Promise<Buffer> =>
    readChain(fat, cluster, offset, Math.max(0, Math.min(length, size - offset)))
  const header = await readPeHeader(read)
  return header?.isApplication ? header.cpu : null
}

/** Follows a path from the root directory to a file. */
async function lookUp(fat: FatVolume, askedPath: string): Promise<EspContent['asked']> {
  let path = ''
  let entry: FatEntry | undefined
  for (const name of askedPath.split(/[\\/]+/).filter((part) => part !== '')) {
    if (entry && !entry.isDirectory) return null
    entry = (await readFatDirectory(fat, entry?.cluster)).find((child) => isNamed(child, name))
    if (!entry) return null
    path += `\\${entry.name}`
  }
  return entry && !entry.isDirectory ? { path, cpu: await cpuOf(fat, entry) } : null
}
