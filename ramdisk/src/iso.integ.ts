import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { bootMediumArchive, kernelWordsFile } from '@byoi/contract'
import { type Built, buildForTest, factsOn, medium } from './testing/built.ts'
import { type Firmware, firmwareArguments, lacksQemu, runGuest } from './testing/guest.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-ramdisk-iso-'))
after(() => rmSync(directory, { recursive: true }))

const iso = join(directory, 'patched.iso')
const drive = `-drive file=${iso},if=none,id=cd,format=raw,readonly=on`
const cd = `${drive},media=cdrom -device ide-cd,drive=cd,bootindex=0`.split(' ')
const stick = `${drive} -device qemu-xhci -device usb-storage,drive=cd,bootindex=0,removable=on`.split(' ')

describe('A server that boots the ISO', { skip: lacksQemu }, () => {
  let built: Built
  before(async () => {
    built = await buildForTest('generic', join(directory, 'generic'))
  })

  /** The ISO with a medium and kernel words put into their places. */
  function patched(): Buffer {
    const { medium: mediumPlace, words } = built.manifest.iso
    const bytes = built.read('byoi.iso')
    bootMediumArchive(medium).copy(bytes, mediumPlace.offset)
    const line = `${built.manifest.kernelWords} byoi.test=patched`
    kernelWordsFile(line, words.length).copy(bytes, words.offset)
    return bytes
  }

  const cases: { firmware: Firmware; from: string; args: string[] }[] = [
    { firmware: 'BIOS', from: 'a CD', args: cd },
    { firmware: 'UEFI', from: 'a CD', args: cd },
    { firmware: 'UEFI with Secure Boot', from: 'a CD', args: cd },
    { firmware: 'BIOS', from: 'a USB stick', args: stick },
    { firmware: 'UEFI with Secure Boot', from: 'a USB stick', args: stick },
  ]
  for (const { firmware, from, args } of cases) {
    test(`by ${firmware} from ${from} runs the agent, with its medium and kernel words`, async () => {
      writeFileSync(iso, patched())
      const machine = firmwareArguments(firmware, directory)
      const facts = factsOn(await runGuest({ memory: 768, args: [...machine, ...args] }))
      assert.deepEqual(JSON.parse(facts.medium), medium)
      assert.match(facts.words, / byoi\.test=patched$/)
      assert.equal(facts.secureBoot, firmware === 'UEFI with Secure Boot')
    })
  }

  test('by UEFI with Secure Boot refuses a kernel of which one bit is changed', async () => {
    const bytes = patched()
    const kernel = built.read('vmlinuz')
    const at = bytes.indexOf(kernel) + kernel.length / 2
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    writeFileSync(iso, bytes)
    const args = [...firmwareArguments('UEFI with Secure Boot', directory), ...cd]
    const console = await runGuest({ memory: 768, args, until: /bad shim signature|probe:/ })
    assert.match(console, /bad shim signature/)
  })
})
