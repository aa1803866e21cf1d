import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, describe, test } from 'node:test'
import type { DeployOrder, DiskFacts } from '@byoi/contract'
import type { EfiBoot } from '@byoi/imaging'
import type { AgentServer } from '../agent-server.ts'
import { loadOptionDescription } from './load-option.ts'
import { globalVariable } from './machine.ts'
import { bootableDisks, otherDiskNotes } from './other-disks.ts'
import { ramServer } from './ram-server.ts'
import { type TestSysfs, diskAttributes, testSysfs } from './sysfs.fixture.ts'

const boot: EfiBoot = {
  esp: { number: 1, guid: null, mbrSignature: 0x1234, startLba: 2048, sectors: 4096 },
  loader: '\\EFI\\debian\\grubx64.efi',
  loaders: [],
}

/** As far as a server in RAM asks for it. */
function order(boot: 'uefi' | 'legacy'): DeployOrder {
  const part: Partial<DeployOrder> = { boot, disk: { serial: 'TARGET', wwn: null, size: 1e9 }, mirrors: [] }
  return part as DeployOrder
}

interface Started {
  sysfs: TestSysfs
  server: AgentServer
  lines: string[]
  efivars: string
}

async function started(t: TestContext, firmware: 'uefi' | 'legacy'): Promise<Started> {
  const sysfs = testSysfs(t)
  const folder = sysfs.device('virtio1/block/vda', diskAttributes(1e9, 512, { serial: 'TARGET' }))
  sysfs.inClass('block', folder)
  const efivars = join(sysfs.path, 'firmware/efi/efivars')
  if (firmware === 'uefi') mkdirSync(efivars, { recursive: true })
  const lines: string[] = []
  const log = (line: string) => lines.push(line)
  const signal = new AbortController().signal
  const server = await ramServer({ name: 'ns1', sysfs: sysfs.path, directory: sysfs.path, log, signal })
  return { sysfs, server, lines, efivars }
}

describe('After publishing', () => {
  test('a UEFI server gets a boot entry, and the log says so', async (t) => {
    const { server, lines, efivars } = await started(t, 'uefi')
    assert.deepEqual(await server.afterPublish(order('uefi'), boot), [])
    assert.deepEqual(lines, [
      'The firmware starts \\EFI\\debian\\grubx64.efi first, by its boot entry Boot0000.',
    ])
    const entry = readFileSync(join(efivars, `Boot0000-${globalVariable}`)).subarray(4)
    assert.equal(loadOptionDescription(entry), 'byoi')
  })

  test('a firmware that does not take the entry is a note', async (t) => {
    const { server, efivars } = await started(t, 'uefi')
    mkdirSync(join(efivars, `BootOrder-${globalVariable}`))
    const [note] = await server.afterPublish(order('uefi'), boot)
    assert.match(
      note ?? '',
      /^The firmware did not take a boot entry for \\EFI\\debian\\grubx64\.efi: EISDIR/,
    )
  })

  const cases: {
    title: string
    started: 'uefi' | 'legacy'
    record: 'uefi' | 'legacy'
    boot: EfiBoot | null
  }[] = [
    { title: 'a legacy server', started: 'legacy', record: 'legacy', boot: null },
    { title: 'an image without a loader', started: 'uefi', record: 'uefi', boot: null },
  ]
  for (const each of cases) {
    test(`${each.title} gets no boot entry`, async (t) => {
      const { server, lines } = await started(t, each.started)
      assert.deepEqual(await server.afterPublish(order(each.record), each.boot), [])
      assert.deepEqual(lines, [])
    })
  }

  test('a server that was started by another firmware than its record says is told', async (t) => {
    const { server, lines } = await started(t, 'legacy')
    const [note] = await server.afterPublish(order('uefi'), boot)
    assert.match(
      note ?? '',
      /^The agent was started by legacy firmware, while the server's record says uefi: /,
    )
    assert.deepEqual(lines, [])
  })
})

const sgdisk = spawnSync('sgdisk', ['-V']).error === undefined

describe('Disks that are not the target', {
  skip: !sgdisk && 'sgdisk is not installed (Debian: gdisk)',
}, () => {
  /** A disk that is a file of 8 MiB: with boot code in its first sector, an EFI system partition, or neither. */
  function disk(t: TestContext, content: { code?: boolean; esp?: boolean }): DiskFacts {
    const path = join(testSysfs(t).path, 'disk.img')
    writeFileSync(path, content.code === true ? Buffer.from('\xfa\x31\xc0boot code', 'latin1') : '')
    truncateSync(path, 8 * 1024 * 1024)
    const type = content.esp === true ? 'ef00' : '8300'
    assert.equal(spawnSync('sgdisk', ['-n', '1:2048:0', '-t', `1:${type}`, path]).status, 0)
    const facts = { wwn: null, size: 8 * 1024 * 1024, sectorSize: 512, rotational: null } as const
    return { ...facts, path, serial: 'S2', transport: 'virtio' }
  }

  const code = 'has boot code in its first sector'
  const esp = 'has an EFI system partition'
  const cases: { title: string; content: Parameters<typeof disk>[1]; legacy?: string; uefi?: string }[] = [
    { title: 'boot code', content: { code: true }, legacy: code },
    { title: 'an EFI system partition', content: { esp: true }, uefi: esp },
    { title: 'both', content: { code: true, esp: true }, legacy: code, uefi: esp },
    { title: 'neither', content: {} },
  ]
  for (const { title, content, legacy, uefi } of cases) {
    test(`with ${title} are told where the firmware may boot them`, async (t) => {
      const facts = disk(t, content)
      const before = readFileSync(facts.path)
      const note = (trace: string | undefined) =>
        trace === undefined
          ? []
          : [`The disk ${facts.path} (serial S2, not the target) ${trace}; the firmware may boot it instead.`]
      assert.deepEqual(await otherDiskNotes([facts], 'legacy'), note(legacy))
      assert.deepEqual(await otherDiskNotes([facts], 'uefi'), note(uefi))
      const all = [legacy, uefi]
        .filter((each) => each !== undefined)
        .join(' and ')
        .replace('and has', 'and')
      assert.deepEqual(
        await bootableDisks([facts]),
        all === '' ? [] : [`The disk ${facts.path} (serial S2) ${all}.`],
      )
      assert.ok(readFileSync(facts.path).equals(before))
    })
  }

  test('that cannot be read are told, and others beside them looked at', async (t) => {
    const facts = disk(t, { esp: true })
    const [first, second] = await otherDiskNotes(
      [{ ...facts, path: '/dev/byoi-no-such-disk' }, facts],
      'uefi',
    )
    assert.equal(first, 'The disk /dev/byoi-no-such-disk cannot be read: ENOENT.')
    assert.match(second ?? '', /EFI system partition/)
  })
})
