import { availableParallelism, totalmem } from 'node:os'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { MachineFacts } from '@byoi/contract'
import { readBytes, readText } from '../sysfs.ts'
import { findPorts } from './ports.ts'

/** What the protocol takes of a text, in characters. */
const longest = 128

/** EFI_GLOBAL_VARIABLE (UEFI 2.10, section 3.3), as efivarfs names its variables. */
export const globalVariable = '8be4df61-93ca-11d2-aa0d-00e098032b8c'

/** This server as it is found: what its firmware says of it by SMBIOS, how it was started, and what it has. */
export async function readMachine(sysfs: string): Promise<MachineFacts> {
  const smbios = async (name: string) =>
    ((await readText(join(sysfs, 'class/dmi/id', name))) ?? '').slice(0, longest)
  const efi = join(sysfs, 'firmware/efi')
  const isUefi = await access(efi).then(
    () => true,
    () => false,
  )
  return {
    vendor: await smbios('sys_vendor'),
    model: await smbios('product_name'),
    serial: await smbios('product_serial'),
    firmware: isUefi ? 'uefi' : 'legacy',
    secureBoot: await isSecureBoot(join(efi, 'efivars')),
    memory: totalmem(),
    cpus: availableParallelism(),
    nics: await findPorts(sysfs),
  }
}

/** Four bytes of attributes, then 1 while images are verified (UEFI 2.10, section 3.3, SecureBoot). */
async function isSecureBoot(efivars: string): Promise<boolean> {
  const variable = await readBytes(join(efivars, `SecureBoot-${globalVariable}`))
  return variable?.[4] === 1
}
