import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultCache } from '../scripts/debian-image.ts'

const byoi = join(import.meta.dirname, '..', 'byoi')
const [image] = globSync(join(defaultCache(), 'debian-12-{????????????,genericcloud-amd64}.qcow2'))
const skip = image === undefined && 'the demo has not made its Debian image yet'

interface Inspection {
  efi: { loaders: { path: string; cpu: string }[] }[]
  biosBootCode: string
  kernels: string[]
  warnings: string[]
}

/** What `byoi inspect` says of the demo's Debian image, which boots by both firmwares and has Debian's kernel for clouds. */
function inspect(...args: string[]): Inspection {
  const stdout = execFileSync(byoi, ['inspect', image ?? '', ...args], { encoding: 'utf8' })
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Inspection
}

test("Debian's image boots on servers of both firmwares", { skip }, () => {
  for (const boot of ['uefi', 'legacy']) {
    const { efi, biosBootCode, kernels, warnings } = inspect('--boot', boot, '--bus', 'virtio')
    assert.deepEqual(
      efi.map(({ loaders }) => loaders[0]),
      [{ path: '\\EFI\\BOOT\\BOOTX64.EFI', cpu: 'x64' }],
    )
    assert.equal(biosBootCode, 'grub')
    assert.match(kernels.join(), /^vmlinuz-6\.1\.0-\d+-cloud-amd64$/)
    assert.deepEqual(warnings, [])
  }
})

test('but it does not find a SATA disk, and that is said', { skip }, () => {
  assert.match(inspect('--bus', 'sata').warnings.join(), /no driver for SATA controllers/)
})
