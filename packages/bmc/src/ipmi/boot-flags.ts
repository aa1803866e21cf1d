import { type BootDevice, type Firmware } from '../bmc.ts'

/** Boot parameter 5, "boot flags": IPMI 2.0, section 28.12, table 28-14. */
export interface BootFlags {
  /** Data 1, bit 7: the firmware is to follow them. */
  valid: boolean
  /** Data 1, bit 6: for every start, not only for the next one. */
  persistent: boolean
  /** Data 1, bit 5: boot as UEFI does. */
  efi: boolean
  /** Data 2, bits 5 to 2, in place. */
  selector: number
}

const VALID = 0x80
const PERSISTENT = 0x40
const EFI = 0x20
const SELECTOR = 0x3c

const selectors = { network: 0x04, disk: 0x08, cd: 0x14 } as const satisfies Record<BootDevice, number>
/** What BMCs show for what was set as above: disk in safe mode, remote disk, remote CD. */
const alike: Record<number, BootDevice> = {
  0x04: 'network',
  0x08: 'disk',
  0x0c: 'disk',
  0x2c: 'disk',
  0x14: 'cd',
  0x20: 'cd',
}

/** Both numbers are Supermicro's. */
const supermicro = [10_876, 47_488]
/** On Supermicro in UEFI mode the disk is "primary remote media" (ironic, `_vendor_aware_boot_device_map`). */
const supermicroUefiDisk = 0x24

/** What to write for a start from a device, once; null takes back what is set. `manufacturer`: IANA enterprise number. */
export function bootFlagsFor(
  to: BootDevice | null,
  firmware: Firmware,
  manufacturer: number | undefined,
): BootFlags {
  if (to === null) return { valid: false, persistent: false, efi: false, selector: 0 }
  const efi = firmware === 'uefi'
  const special = to === 'disk' && efi && manufacturer !== undefined && supermicro.includes(manufacturer)
  return { valid: true, persistent: false, efi, selector: special ? supermicroUefiDisk : selectors[to] }
}

/** The five data bytes of the parameter. */
export const encodeBootFlags = ({ valid, persistent, efi, selector }: BootFlags): number[] => [
  (valid ? VALID : 0) | (persistent ? PERSISTENT : 0) | (efi ? EFI : 0),
  selector,
  0,
  0,
  0,
]

/** @param hex The data bytes, at least two of them. */
export function decodeBootFlags(hex: string): BootFlags {
  const [first = 0, second = 0] = Buffer.from(hex, 'hex')
  return {
    valid: (first & VALID) !== 0,
    persistent: (first & PERSISTENT) !== 0,
    efi: (first & EFI) !== 0,
    selector: second & SELECTOR,
  }
}

/** null: none is set, or one that byoi has no word for, such as the firmware's set-up. */
export function bootDeviceOf(
  { valid, selector }: BootFlags,
  manufacturer: number | undefined,
): BootDevice | null {
  if (!valid) return null
  if (selector === supermicroUefiDisk && supermicro.includes(manufacturer ?? 0)) return 'disk'
  return alike[selector] ?? null
}

/**
 * What a BMC shows, against what was written. `unconfirmed`: it keeps the device but does not show the rest, as ipmi_sim and
 * BMCs do that hand the flags to the firmware at once; the agent that calls in is the proof then. `mode`: the device is right,
 * but it would start in the other mode or every time. `other`: another device, or none.
 */
export function compareBootFlags(
  wish: BootFlags,
  seen: BootFlags,
): 'confirmed' | 'unconfirmed' | 'mode' | 'other' {
  if (!wish.valid) return seen.valid ? 'other' : 'confirmed'
  if (seen.selector !== wish.selector) return 'other'
  if (!seen.valid) return 'unconfirmed'
  return seen.efi === wish.efi && seen.persistent === wish.persistent ? 'confirmed' : 'mode'
}
