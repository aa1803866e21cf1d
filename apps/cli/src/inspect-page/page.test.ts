import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Inspection } from '@byoi/imaging'
import { cellsOf, segmentsOf } from './layout.ts'
import { inspectionPage } from './page.ts'
import { safeJson, safeText } from './safe-text.ts'
import { type TerminalStyle, terminalStyle } from './terminal-style.ts'

const MiB = 1024 * 1024
const GiB = 1024 * MiB
const esp = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

function partition(number: number, from: number, to: number, more: object = {}) {
  const base = { number, offset: from, length: to - from, type: '83', typeName: 'Linux', name: '' }
  return { ...base, fileSystem: null, notLookedInto: null, ...more }
}

const found: Inspection = {
  format: 'qcow2',
  packing: null,
  virtualSize: 2 * GiB,
  bytesServed: 300 * MiB,
  bytesAllocated: 700 * MiB,
  fetched: { reads: 23, bytes: 1.5 * MiB },
  ranged: true,
  clusterSize: 65536,
  compression: 'zstd',
  table: {
    kind: 'gpt',
    partitions: [
      partition(1, MiB, 65 * MiB, {
        type: esp,
        typeName: 'EFI system',
        name: 'esp',
        fileSystem: { type: 'fat32', label: 'ESP', uuid: 'ABCD-1234' },
      }),
      partition(2, 65 * MiB, 2 * GiB - MiB, {
        name: 'root',
        fileSystem: { type: 'xfs', label: '\x1b[2Jroot', uuid: null },
        notLookedInto: 'xfs',
      }),
    ],
  },
  fileSystem: null,
  hasEfiSystemPartition: true,
  efi: [
    {
      number: 1,
      guid: null,
      mbrSignature: null,
      startLba: 2048,
      sectors: 131072,
      loaders: [{ path: '\\EFI\\BOOT\\BOOTX64.EFI', cpu: 'x64' }],
    },
  ],
  hasBiosBootCode: false,
  biosBootCode: null,
  kernels: [],
  consoles: [],
  cloudInit: null,
  configPartition: null,
  target: {
    size: 4 * GiB,
    sectorSize: 512,
    free: 2 * GiB,
    configDrive: { offset: 4 * GiB - 2 * MiB, length: MiB },
  },
  verdicts: {
    fits: { answer: 'yes', cause: 'The image fits this disk.', remedy: null },
    boots: { answer: 'no', cause: 'It does not boot.', remedy: 'Use another.' },
  },
  notes: [],
  warnings: ['Beware.'],
}
const plain: TerminalStyle = { columns: 80, isUnicode: true, hasColour: false }
const pageOf = (inspection: Inspection, style = plain) =>
  inspectionPage(inspection, { location: 'image.qcow2', boot: 'legacy' }, style).split('\n')

test('the page has what matters, in aligned columns', () => {
  const lines = pageOf(found)
  for (const line of [
    '  format        qcow2, clusters of 64.0 KiB, compressed by zstd',
    '  virtual size  2.00 GiB (2147483648 bytes)',
    '  looked at by  23 ranged reads, 1.50 MiB',
    'Partition table: GPT',
    '  nr  begin     size      type        name  holds  label        UUID',
    '  1   1.00 MiB  64.0 MiB  EFI system  esp   fat32  ESP          ABCD-1234',
    '  2   65.0 MiB  1.94 GiB  Linux       root  xfs    \\x1b[2Jroot  -',
    '  partition 2 not looked into: xfs',
    '  UEFI loaders    partition 1: \\EFI\\BOOT\\BOOTX64.EFI (x64)',
    '  BIOS boot code  none',
    '  cloud-init    not known: no root file system that is read here',
    '  fits a disk of 4.00 GiB  yes: The image fits this disk.',
    '  boots by BIOS            no: It does not boot. Use another.',
    '  2.00 GiB stay free behind the last partition; a config drive goes to byte 4292870144',
    '  Beware.',
  ])
    assert.ok(lines.includes(line), `${line}\nin\n${lines.join('\n')}`)
})

test('the layout is drawn to scale, everything in one cell at least', () => {
  const lines = pageOf(found, { ...plain, columns: 44 })
  const at = lines.indexOf('Layout')
  const scale = `${'▓'.repeat(18)}${'░'.repeat(18)}`
  assert.deepEqual(lines.slice(at + 1, at + 3), [`  ▐█${scale}▚▌`, `  t12${' '.repeat(35)}cg`])
  assert.match(lines[at + 3] ?? '', /░ free, 2\.00 GiB$/)
  const ascii = pageOf(found, { columns: 44, isUnicode: false, hasColour: false })
  assert.equal(ascii[at + 1], `  |#${'='.repeat(18)}${'.'.repeat(18)}%|`)
  assert.match(ascii.join(''), /^[\x20-\x7e]*$/)
})

test('colours come on a terminal only, and NO_COLOR turns them off', () => {
  const on = (isTTY: boolean, env: Record<string, string>) =>
    terminalStyle({ stdout: { isTTY, columns: 132 } as NodeJS.WriteStream, env })
  assert.deepEqual(on(true, { LANG: 'C.UTF-8' }), { columns: 132, isUnicode: true, hasColour: true })
  assert.deepEqual(on(false, { LANG: 'C.UTF-8' }), { columns: 80, isUnicode: true, hasColour: false })
  assert.deepEqual(on(true, { LC_ALL: 'C', LANG: 'C.UTF-8', NO_COLOR: '1' }), {
    columns: 132,
    isUnicode: false,
    hasColour: false,
  })
  assert.equal(on(true, { TERM: 'dumb' }).hasColour, false)
  assert.ok(pageOf(found, { ...plain, hasColour: true }).includes('\x1b[1mLayout\x1b[0m'))
})

test('without a partition table, or without a size, nothing is drawn', () => {
  const none = { ...found, table: { kind: 'none' as const, partitions: [] }, target: null }
  assert.equal(segmentsOf(none), null)
  assert.equal(segmentsOf({ ...found, virtualSize: null }), null)
  const lines = pageOf({ ...none, fileSystem: { type: 'ext4', label: 'data', uuid: null } })
  assert.ok(lines.includes('No partition table') && lines.includes('  label        data'))
  assert.ok(!lines.includes('Layout'))
})

const shares: [lengths: number[], width: number, cells: number[] | null][] = [
  [[1, 1], 10, [5, 5]],
  [[1, 1000, 1], 10, [1, 8, 1]],
  [[1, 2, 1], 4, [1, 2, 1]],
  [[1, 1, 1], 4, [2, 1, 1]],
  [[0, 0], 4, [2, 2]],
  [[5, 5, 5], 2, null],
  [[2 ** 50, 1, 1, 2 ** 50], 6, [2, 1, 1, 2]],
]
for (const [lengths, width, cells] of shares) {
  test(`${lengths.join(', ')} in ${width} cells`, () => {
    assert.deepEqual(cellsOf(lengths, width), cells)
    assert.equal(cells?.reduce((a, b) => a + b, 0) ?? width, width)
  })
}

test('what an image says cannot command a terminal', () => {
  const evil = 'a\x1b]0;x\x07\x9b2J\u202egnp\n\u{e0041}z é'
  assert.equal(safeText(evil), 'a\\x1b]0;x\\x07\\x9b2J\\u{202e}gnp\\x0a\\u{e0041}z é')
  const json = safeJson(JSON.stringify({ evil }))
  assert.deepEqual(JSON.parse(json), { evil })
  assert.doesNotMatch(json, /\p{C}/u)
})
