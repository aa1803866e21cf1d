import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { bootMediumArchive, joinKernelWords, newcArchive, type RamdiskFlavour } from '@byoi/contract'
import { type Built, buildForTest, factsOn, medium } from './testing/built.ts'
import { lacksQemu, runGuest } from './testing/guest.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-ramdisk-boot-'))
after(() => rmSync(directory, { recursive: true }))

/** Arguments for QEMU that give a guest kernel and initramfs as a network boot does, `more` behind the medium. */
function boot({ manifest, path, read }: Built, words = '', more: Uint8Array = Buffer.alloc(0)): string[] {
  const initrd = join(directory, 'initrd')
  writeFileSync(initrd, Buffer.concat([read('initrd'), bootMediumArchive(medium), more]))
  const line = joinKernelWords(manifest.kernelWords, words)
  const kernel = ['-kernel', path('vmlinuz'), '-initrd', initrd, '-append', line]
  return ['-machine', 'q35', ...kernel, '-nic', 'user,model=virtio-net-pci']
}

/** An archive that adds a file, or takes the place of one. */
const overlay = (path: string, data: string | Buffer): Buffer =>
  Buffer.concat([...newcArchive([{ kind: 'file', path, data: Buffer.from(data) }])])

/** Arguments for an empty disk on one bus. */
function disk(name: string, device: string): string[] {
  const path = join(directory, `${name}.img`)
  writeFileSync(path, '')
  truncateSync(path, 2 ** 30)
  const drive = `file=${path},if=none,id=${name},format=raw,cache=unsafe`
  return ['-drive', drive, '-device', `${device},drive=${name}`]
}

describe('A server that boots the ramdisk', { skip: lacksQemu }, () => {
  let built: Record<RamdiskFlavour, Built>
  before(async () => {
    built = {
      cloud: await buildForTest('cloud', join(directory, 'cloud')),
      generic: await buildForTest('generic', join(directory, 'generic')),
    }
  })

  const cases = [
    { flavour: 'cloud', memory: 512, bus: 'virtio-blk-pci', name: 'vda' },
    { flavour: 'cloud', memory: 768, bus: 'nvme,serial=1', name: 'nvme0n1' },
    { flavour: 'generic', memory: 512, bus: 'megasas,id=hba -device scsi-hd,bus=hba.0', name: 'sda' },
    { flavour: 'generic', memory: 768, bus: 'ide-hd,bus=ide.0', name: 'sda' },
  ] as const
  for (const { flavour, memory, bus, name } of cases) {
    test(`with ${memory} MiB runs the agent of ${flavour}: medium, port and disk ${name} (${bus})`, async () => {
      const devices = disk('target', bus).flatMap((each) => each.split(' '))
      const console = await runGuest({ memory, args: [...boot(built[flavour]), ...devices] })
      const facts = factsOn(console)
      assert.deepEqual(JSON.parse(facts.medium), medium)
      assert.equal(facts.thread, 'runs')
      assert.deepEqual(facts.ports, ['eth0'])
      assert.ok(facts.disks.includes(name), facts.disks.join(' '))
      assert.match(console, /byoi: poweroff at/)
    })
  }

  test('prints on a second serial port, and on it alone, when its words name that', async () => {
    const log = join(directory, 'ttyS1.log')
    const args = [...boot(built.cloud, 'console=ttyS1,115200'), '-serial', `file:${log}`]
    assert.doesNotMatch(await runGuest({ memory: 512, args }), /probe:/)
    assert.equal(factsOn(readFileSync(log, 'latin1').replaceAll('\r', '')).thread, 'runs')
  })

  test('turns itself off when the agent cannot run', async () => {
    const args = boot(built.cloud, '', overlay('usr/lib/byoi/agent.mjs', 'throw new Error("no")'))
    assert.match(await runGuest({ memory: 512, args }), /Error: no[^]*byoi: poweroff at/)
  })

  test('gives a shell instead of the agent when the kernel words ask for it', async () => {
    const types = { after: /# $/, text: 'echo "shell-$((6 * 7))"; poweroff\n' }
    const console = await runGuest({ memory: 512, args: boot(built.cloud, 'byoi.shell'), types })
    assert.match(console, /^shell-42$/m)
    assert.doesNotMatch(console, /probe:/)
  })

  test('has tools that make, check, grow and mount what systems lie on', async () => {
    const script = readFileSync(join(import.meta.dirname, 'testing/repair.sh'))
    const types = { after: /# $/, text: 'sh /root/repair.sh; poweroff\n' }
    const args = [
      ...boot(built.cloud, 'byoi.shell', overlay('root/repair.sh', script)),
      ...['a', 'b', 'c'].flatMap((name) => disk(name, 'virtio-blk-pci')),
    ]
    assert.match(await runGuest({ memory: 512, args, types }), /^ALL IS REPAIRED$/m)
  })
})
