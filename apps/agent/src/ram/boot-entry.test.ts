import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EfiBoot } from '@byoi/imaging'
import { writeBootEntry } from './boot-entry.ts'
import { type EfiVariables, globalVariables } from './efivars.ts'
import { encodeLoadOption } from './load-option.ts'
import { globalVariable } from './machine.ts'

const efibootmgr = spawnSync('efibootmgr', ['-V']).error === undefined
const python = spawnSync('python3', ['-V']).error === undefined

const gpt: EfiBoot = {
  esp: {
    number: 2,
    guid: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
    mbrSignature: null,
    startLba: 4096,
    sectors: 32_768,
  },
  loader: '\\EFI\\debian\\grubx64.efi',
  loaders: [],
}
const mbr: EfiBoot = {
  esp: { number: 1, guid: null, mbrSignature: 0xdead_beef, startLba: 2 ** 33, sectors: 2 ** 34 },
  loader: '\\EFI\\BOOT\\BOOTX64.EFI',
  loaders: [],
}

interface Firmware {
  folder: string
  variables: EfiVariables
  set: (name: string, data: Buffer) => void
  /** Entry numbers, as the boot manager tries them. */
  order: () => string[]
}

/** A directory that looks like efivarfs, whose variables are replaced as a whole. */
function firmware(t: TestContext): Firmware {
  const folder = mkdtempSync(join(tmpdir(), 'byoi-efivars-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const pathOf = (name: string) => join(folder, `${name}-${globalVariable}`)
  const variables = globalVariables(folder)
  return {
    folder,
    variables: {
      ...variables,
      write: async (name, data) => {
        rmSync(pathOf(name), { force: true })
        await variables.write(name, data)
      },
    },
    set: (name, data) => writeFileSync(pathOf(name), Buffer.concat([Buffer.from([7, 0, 0, 0]), data])),
    order: () => readFileSync(pathOf('BootOrder')).subarray(4).toString('hex').match(/.{4}/g) ?? [],
  }
}

/** What efibootmgr, which knows nothing of ours, reads there. */
function efibootmgrSays(folder: string): string {
  const { stdout, stderr, status } = spawnSync('efibootmgr', ['-v'], {
    env: { PATH: process.env['PATH'], EFIVARFS_PATH: `${folder}/` },
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  return stdout
}

const other = (name: string) => encodeLoadOption(name, gpt)

const entries: { title: string; boot: EfiBoot; line: string }[] = [
  {
    title: 'GPT',
    boot: gpt,
    line: String.raw`Boot0000* byoi	HD(2,GPT,c12a7328-f81f-11d2-ba4b-00a0c93ec93b,0x1000,0x8000)/File(\EFI\debian\grubx64.efi)`,
  },
  {
    title: 'MBR',
    boot: mbr,
    line: String.raw`Boot0000* byoi	HD(1,MBR,0xdeadbeef,0x200000000,0x400000000)/File(\EFI\BOOT\BOOTX64.EFI)`,
  },
]

for (const { title, boot, line } of entries) {
  test(`efibootmgr reads our entry for a loader on ${title}, and that it comes first`, {
    skip: !efibootmgr && 'efibootmgr is not installed (Debian: efibootmgr)',
  }, async (t) => {
    const { folder, variables } = firmware(t)
    assert.equal(await writeBootEntry(variables, boot), 'Boot0000')
    const said = efibootmgrSays(folder)
    assert.ok(said.split('\n').includes(line), said)
    assert.match(said, /^BootOrder: 0000$/m)
  })
}

const decoder = join(import.meta.dirname, 'testing/decode-load-option.py')

test('a decoder written from the specification reads each field of an entry', {
  skip: !python && 'python3 is not installed (Debian: python3)',
}, () => {
  for (const { esp, loader } of [gpt, mbr]) {
    const option = encodeLoadOption('byoi é', { esp, loader, loaders: [] })
    const { stdout, stderr } = spawnSync('python3', [decoder], { input: option, encoding: 'utf8' })
    assert.deepEqual(
      JSON.parse(stdout || 'null'),
      {
        attributes: 1,
        description: 'byoi é',
        partition: esp.number,
        start: esp.startLba,
        size: esp.sectors,
        format: esp.guid === null ? 1 : 2,
        signature: esp.guid ?? 'deadbeef',
        signatureType: esp.guid === null ? 1 : 2,
        file: loader,
        optionalData: '',
      },
      stderr,
    )
  }
})

test('our entry takes the lowest free number and goes in front; all others stay', async (t) => {
  const { variables, set, order } = firmware(t)
  set('Boot0000', other('UEFI PXEv4'))
  set('Boot0001', other('debian'))
  set('Boot0003', other('UEFI Shell'))
  set('BootOrder', Buffer.from('000003000100', 'hex'))
  assert.equal(await writeBootEntry(variables, gpt), 'Boot0002')
  assert.deepEqual(order(), ['0200', '0000', '0300', '0100'])
  assert.ok((await variables.read('Boot0001'))?.equals(other('debian')))
})

test('entries of ours from before are replaced by one', async (t) => {
  const { variables, set, order } = firmware(t)
  set('Boot0001', other('byoi'))
  set('Boot0002', other('debian'))
  set('Boot000A', other('byoi'))
  set('BootOrder', Buffer.from('020001000a00', 'hex'))
  assert.equal(await writeBootEntry(variables, mbr), 'Boot0001')
  assert.deepEqual(order(), ['0100', '0200'])
  assert.ok((await variables.read('Boot0001'))?.equals(encodeLoadOption('byoi', mbr)))
  assert.equal(await variables.read('Boot000A'), null)
})

test('an entry that is there already is not written again', async (t) => {
  const { variables } = firmware(t)
  await writeBootEntry(variables, gpt)
  const untouched = { ...variables, write: () => assert.fail('something was written') }
  assert.equal(await writeBootEntry(untouched, gpt), 'Boot0000')
})

test('the entry is written before the order that names it', async (t) => {
  const { variables } = firmware(t)
  const written: string[] = []
  const watched = {
    ...variables,
    write: async (name: string, data: Buffer) => {
      written.push(name)
      await variables.write(name, data)
    },
  }
  await writeBootEntry(watched, gpt)
  assert.deepEqual(written, ['Boot0000', 'BootOrder'])
})

test('variables that are no entries of the boot manager, or broken ones, are left alone', async (t) => {
  const { folder, variables, set } = firmware(t)
  const names = ['BootCurrent', 'Boot000g', 'Boot00001', 'Boot000a', 'BootNext']
  for (const name of names) set(name, Buffer.from([1, 0]))
  set('Boot0000', Buffer.from([1, 0, 0]))
  set('Boot0001', Buffer.alloc(0))
  writeFileSync(join(folder, 'Boot0002-a5c059a1-94e4-4aa7-87b5-ab155c2bf072'), '')
  assert.equal(await writeBootEntry(variables, gpt), 'Boot0002')
  for (const name of names) assert.deepEqual(await variables.read(name), Buffer.from([1, 0]), name)
})

test('a firmware that refuses the entry gets no boot order, and the failure is told', async (t) => {
  const { variables } = firmware(t)
  const full = { ...variables, write: () => Promise.reject(new Error('ENOSPC: no space left on device')) }
  await assert.rejects(writeBootEntry(full, gpt), /no space/)
  assert.equal(await variables.read('BootOrder'), null)
})
