import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bootDeviceOf,
  bootFlagsFor,
  compareBootFlags,
  decodeBootFlags,
  encodeBootFlags,
} from './boot-flags.ts'

const dell = 674
const supermicro = 10_876

for (const [to, firmware, manufacturer, hex] of [
  ['network', 'uefi', dell, 'a004000000'],
  ['cd', 'uefi', dell, 'a014000000'],
  ['disk', 'uefi', dell, 'a008000000'],
  ['disk', 'uefi', supermicro, 'a024000000'],
  ['disk', 'uefi', 47_488, 'a024000000'],
  ['network', 'uefi', supermicro, 'a004000000'],
  ['network', 'legacy', dell, '8004000000'],
  ['disk', 'legacy', supermicro, '8008000000'],
  [null, 'uefi', supermicro, '0000000000'],
] as const) {
  test(`a start from ${to} by ${firmware} firmware of ${manufacturer} is ${hex}, and reads back`, () => {
    const flags = bootFlagsFor(to, firmware, manufacturer)
    assert.equal(Buffer.from(encodeBootFlags(flags)).toString('hex'), hex)
    assert.deepEqual(decodeBootFlags(hex), flags)
    assert.equal(bootDeviceOf(decodeBootFlags(hex), manufacturer), to)
    assert.equal(compareBootFlags(flags, decodeBootFlags(hex)), 'confirmed')
  })
}

for (const [hex, manufacturer, device] of [
  ['e004000000', dell, 'network'],
  ['a00c000000', dell, 'disk'],
  ['a02c000000', dell, 'disk'],
  ['a020000000', dell, 'cd'],
  ['a024000000', dell, null],
  ['a018000000', dell, null],
  ['a000000000', dell, null],
  ['2004000000', dell, null],
  ['a0c6000000', dell, 'network'],
] as const) {
  test(`${hex} of ${manufacturer} is a start from ${device}`, () => {
    assert.equal(bootDeviceOf(decodeBootFlags(hex), manufacturer), device)
  })
}

for (const [wrote, shows, verdict] of [
  ['a004000000', 'a004000000', 'confirmed'],
  ['a004000000', '0004000000', 'unconfirmed'],
  ['a004000000', '8004000000', 'mode'],
  ['8004000000', 'a004000000', 'mode'],
  ['a004000000', 'e004000000', 'mode'],
  ['a004000000', 'a008000000', 'other'],
  ['a004000000', '0000000000', 'other'],
  ['a008000000', 'a004000000', 'other'],
  ['0000000000', '0004000000', 'confirmed'],
  ['0000000000', '8000000000', 'other'],
] as const) {
  test(`a BMC that was given ${wrote} and shows ${shows} is ${verdict}`, () => {
    assert.equal(compareBootFlags(decodeBootFlags(wrote), decodeBootFlags(shows)), verdict)
  })
}
