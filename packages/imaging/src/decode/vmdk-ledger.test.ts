import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { GrainLedger } from './vmdk-ledger.ts'

const says =
  (cause: RegExp, code = 'FORMAT') =>
  (error: unknown) =>
    error instanceof ImagingError && error.code === code && cause.test(error.cause)

describe('the ledger of grains', () => {
  const table = (...entries: [slot: number, sector: number][]) => {
    const words = new Uint32Array(512)
    for (const [slot, sector] of entries) words[slot] = sector
    return words
  }

  test('lets grains and tables that agree pass, whichever come first', () => {
    const ledger = new GrainLedger(3)
    ledger.see(0, 128)
    ledger.see(511, 130)
    ledger.closeTable(140, table([0, 128], [511, 130]))
    ledger.expect(2, table([1, 150]))
    ledger.see(1025, 150)
    ledger.closeDirectory(Uint32Array.of(140, 0, 0))
    ledger.finish()
  })

  test('wants every grain of a table that came before them', () => {
    const ledger = new GrainLedger(1)
    ledger.expect(0, table([0, 128], [1, 130]))
    ledger.see(0, 128)
    assert.throws(() => ledger.finish(), says(/grains that its tables name never came/))
    assert.throws(() => ledger.see(0, 128), says(/show different images/), 'a grain that came already')
    ledger.see(1, 130)
    ledger.finish()
  })

  test('wants a table for every grain that came before it', () => {
    const ledger = new GrainLedger(1)
    ledger.see(0, 128)
    assert.throws(() => ledger.finish(), says(/grains that no table names/))
    assert.throws(() => ledger.see(0, 130), says(/holds its grain 0 twice/))
  })

  const differing: [what: string, grain: number, closed: Uint32Array][] = [
    ['another sector', 0, table([0, 129])],
    ['another slot', 0, table([1, 128])],
    ['a grain more', 0, table([0, 128], [7, 130])],
  ]
  for (const [what, grain, closed] of differing)
    test(`refuses a table with ${what}`, () => {
      const ledger = new GrainLedger(1)
      ledger.see(grain, 128)
      assert.throws(() => ledger.closeTable(140, closed), says(/show different images/))
    })

  test('refuses a table with a grain less', () => {
    const ledger = new GrainLedger(1)
    ledger.see(0, 128)
    ledger.see(1, 130)
    assert.throws(() => ledger.closeTable(140, table([0, 128])), says(/show different images/))
  })

  test('refuses a grain of a table that was closed', () => {
    const ledger = new GrainLedger(2)
    ledger.see(0, 128)
    ledger.closeTable(140, table([0, 128]))
    assert.throws(() => ledger.see(5, 150), says(/show different images/))
    ledger.see(512, 150)
  })

  test('refuses a table that stands where a directory cannot name it', () => {
    for (const [sector, fits] of [
      [0xffff_ffff, true],
      [0x1_0000_0000, false],
    ] as const) {
      const ledger = new GrainLedger(1)
      ledger.see(0, 128)
      const close = () => ledger.closeTable(sector, table([0, 128]))
      if (fits) close()
      else assert.throws(close, says(/show different images/))
    }
  })

  test('takes a directory that names each table where it stands, and empty ones', () => {
    const closed = () => {
      const ledger = new GrainLedger(2)
      ledger.see(0, 128)
      ledger.closeTable(140, table([0, 128]))
      ledger.closeTable(150, table())
      return ledger
    }
    closed().closeDirectory(Uint32Array.of(140, 0))
    closed().closeDirectory(Uint32Array.of(140, 150))
    for (const entries of [
      [141, 0],
      [0, 0],
      [150, 0],
      [140, 151],
      [140, 140],
    ])
      assert.throws(() => closed().closeDirectory(Uint32Array.from(entries)), says(/show different images/))
  })

  test('holds 16384 tables that wait, and no more', () => {
    const ledger = new GrainLedger(16_386)
    for (let number = 0; number < 16_383; number++) ledger.see(number * 512, 1)
    ledger.expect(16_383, table())
    ledger.expect(16_384, table([0, 9]))
    assert.throws(() => ledger.expect(16_385, table([0, 9])), says(/too far apart/, 'RAM'))
  })

  test('holds 65536 empty tables, and no more', () => {
    const ledger = new GrainLedger(1)
    const empty = new Uint32Array(1)
    for (let sector = 1; sector <= 65_536; sector++) ledger.closeTable(sector, empty)
    assert.throws(() => ledger.closeTable(65_537, empty), says(/too far apart/, 'RAM'))
  })
})
