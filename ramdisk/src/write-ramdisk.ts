import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { BuiltFile, RamdiskManifest } from '@byoi/contract'
import type { DebianFiles } from './debian/files.ts'

/** iPXE for firmware that knows PXE only: where Debian's package has the files. */
const netbootFiles = ['usr/lib/ipxe/undionly.kpxe', 'usr/lib/ipxe/snponly.efi', 'boot/ipxe.efi']

export interface RamdiskFiles {
  vmlinuz: Buffer
  initrd: Buffer
  /** Path of the ISO. */
  iso: string
}

/**
 * Writes the files of a ramdisk into the directory `out`, and last the manifest, which others wait for. An older manifest goes first, so
 * that it never describes a mixture.
 */
export async function writeRamdisk(
  out: string,
  { vmlinuz, initrd, iso }: RamdiskFiles,
  facts: Omit<RamdiskManifest, 'files'>,
  debian: DebianFiles,
): Promise<RamdiskManifest> {
  const manifestPath = join(out, 'manifest.json')
  await mkdir(join(out, 'ipxe'), { recursive: true })
  await rm(manifestPath, { force: true })
  const manifest = {
    ...facts,
    files: {
      vmlinuz: await writeBuilt(out, 'vmlinuz', vmlinuz),
      initrd: await writeBuilt(out, 'initrd', initrd),
      iso: await writeBuilt(out, 'byoi.iso', await readFile(iso)),
    },
  }
  for (const name of netbootFiles)
    await copyFile(debian.path('ipxe', name), join(out, 'ipxe', basename(name)))
  await writeFile(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

async function writeBuilt(out: string, name: string, data: Buffer): Promise<BuiltFile> {
  await writeFile(join(out, name), data)
  return { name, size: data.length, sha256: createHash('sha256').update(data).digest('hex') }
}
