/** Starts a virtual server in QEMU and reads its serial console, for tests. It is emulated: no KVM is asked for. */
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

const ovmf = '/usr/share/OVMF'
const needed = ['/usr/bin/qemu-system-x86_64', `${ovmf}/OVMF_CODE_4M.secboot.fd`]

/** Why there can be no guest here, or false. */
export const lacksQemu: string | false = needed.every((path) => existsSync(path))
  ? false
  : 'qemu-system-x86 and ovmf are not installed'

export interface GuestOptions {
  /** MiB. */
  memory: number
  /** Arguments for QEMU, beside those for the machine without devices. */
  args: readonly string[]
  /** What stands on the console when the guest has shown enough; without it, it runs until it turns itself off. */
  until?: RegExp
  /** Typed on the console once `after` stands there. */
  types?: { after: RegExp; text: string }
}

/** Longest time of a guest, in ms: on a busy machine everything takes several times as long. */
const patience = 240_000

/**
 * Runs a guest and gives what stood on its serial console, without escape sequences.
 * @throws {Error} with the end of it when the guest neither turned itself off nor showed `until`.
 */
export async function runGuest({ memory, args, until, types }: GuestOptions): Promise<string> {
  const machine = ['-accel', 'tcg', '-cpu', 'Nehalem', '-m', String(memory), '-nodefaults', '-no-reboot']
  const guest = spawn('qemu-system-x86_64', [...machine, '-display', 'none', '-serial', 'stdio', ...args])
  const timer = setTimeout(() => guest.kill('SIGKILL'), patience)
  let console = ''
  let errors = ''
  let typed = false
  let shown = false
  guest.stdout.on('data', (chunk: Buffer) => {
    console += stripVTControlCharacters(chunk.toString('latin1')).replaceAll('\r', '')
    if (types !== undefined && !typed && types.after.test(console)) {
      typed = true
      guest.stdin.write(types.text)
    }
    shown ||= until?.test(console) === true
    if (shown) guest.kill('SIGKILL')
  })
  guest.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const status = await new Promise((resolve, reject) => {
    guest.once('error', reject)
    guest.once('close', resolve)
  })
  clearTimeout(timer)
  if (status === 0 || shown) return console
  throw new Error(`The guest was stopped. ${errors}\n${console.slice(-3000)}`)
}

export type Firmware = 'BIOS' | 'UEFI' | 'UEFI with Secure Boot'

/** Arguments for a machine with this firmware. `directory` holds its variables, which are new. */
export function firmwareArguments(firmware: Firmware, directory: string): string[] {
  // Without graphics the BIOS writes to the serial port.
  if (firmware === 'BIOS') return ['-machine', 'q35,graphics=off']
  const secure = firmware !== 'UEFI'
  const variables = join(directory, `${firmware}.vars`)
  copyFileSync(join(ovmf, secure ? 'OVMF_VARS_4M.ms.fd' : 'OVMF_VARS_4M.fd'), variables)
  const code = join(ovmf, secure ? 'OVMF_CODE_4M.secboot.fd' : 'OVMF_CODE_4M.fd')
  const flash = [`unit=0,readonly=on,file=${code}`, `unit=1,file=${variables}`]
  return [
    ...flash.flatMap((each) => ['-drive', `if=pflash,format=raw,${each}`]),
    ...(secure
      ? ['-machine', 'q35,smm=on', '-global', 'driver=cfi.pflash01,property=secure,value=on']
      : ['-machine', 'q35']),
  ]
}
