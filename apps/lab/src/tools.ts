import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { LabError } from './lab-error.ts'

/** What a lab runs, by command or absolute path of a file, each with its Debian package. */
export const labTools: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  '/usr/lib/ipxe/qemu/efi-virtio.rom': 'ipxe-qemu',
  '/usr/lib/x86_64-linux-gnu/qemu/block-curl.so': 'qemu-block-extra',
  '/usr/share/OVMF/OVMF_CODE_4M.fd': 'ovmf',
  ipmi_sim: 'openipmi',
  ipmitool: 'ipmitool',
}

/** @throws {LabError} naming what is missing and how to install it. */
export async function requireTools(path: string): Promise<void> {
  const there = async (file: string) =>
    await access(file).then(
      () => true,
      () => false,
    )
  const directories = [...path.split(delimiter), '/usr/sbin']
  const missing: string[] = []
  for (const tool of Object.keys(labTools)) {
    const places = tool.startsWith('/') ? [tool] : directories.map((directory) => join(directory, tool))
    if (!(await Promise.all(places.map(there))).includes(true)) missing.push(tool)
  }
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((tool) => labTools[tool]))].join(' ')
  throw new LabError(
    `Missing: ${missing.join(', ')}. On Debian, as root: apt-get install -y --no-install-recommends ${packages}`,
  )
}
