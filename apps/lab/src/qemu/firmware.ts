import { copyFile, access } from 'node:fs/promises'
import { join } from 'node:path'
import { type Firmware } from '@byoi/bmc'
import { type ServerPlan } from '../server-plan.ts'

const ovmf = '/usr/share/OVMF'

/** Files of Debian's package `ovmf`. With Secure Boot, the variables hold Microsoft's keys (and a `dbx`). */
const images = {
  plain: { code: `${ovmf}/OVMF_CODE_4M.fd`, variables: `${ovmf}/OVMF_VARS_4M.fd` },
  secure: { code: `${ovmf}/OVMF_CODE_4M.secboot.fd`, variables: `${ovmf}/OVMF_VARS_4M.ms.fd` },
}

export interface UefiImage {
  /** Read-only. */
  code: string
  /** Written by the firmware. */
  variables: string
}

/**
 * The UEFI firmware of a server's start; null for legacy, where SeaBIOS is QEMU's own. The variables are the server's: made once,
 * and kept over power cycles as in a real one.
 */
export async function firmwareImage(plan: ServerPlan, firmware: Firmware): Promise<UefiImage | null> {
  if (firmware === 'legacy') return null
  const { code, variables } = plan.secureBoot ? images.secure : images.plain
  const own = join(plan.folder, 'uefi-variables.fd')
  const there = await access(own).then(
    () => true,
    () => false,
  )
  if (!there) await copyFile(variables, own)
  return { code, variables: own }
}
