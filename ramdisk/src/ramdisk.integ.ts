/** Builds the ramdisk of both flavours, packed quickly and with a probe in the agent's place, and boots them. `npm run test:ramdisk`. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  bootMediumArchive,
  checkShape,
  joinKernelWords,
  kernelWordsFile,
  newcArchive,
  RamdiskManifest,
  ramdiskFlavours,
  type RamdiskFlavour,
} from '@byoi/contract'
import { buildRamdisk } from './build-ramdisk.ts'
import { isElf } from './image/elf.ts'
import { type Firmware, firmwareArguments, lacksQemu, runGuest } from './testing/guest.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-ramdisk-test-'))
after(() => rmSync(directory, { recursive: true }))

const folder = (flavour: RamdiskFlavour): string => join(directory, flavour)
const file = (flavour: RamdiskFlavour, name: string): Buffer => readFileSync(join(folder(flavour), name))
const manifestOf = (flavour: RamdiskFlavour): RamdiskManifest =>
  checkShape(RamdiskManifest, JSON.parse(file(flavour, 'manifest.json').toString()), 'manifest')

const build = (flavour: RamdiskFlavour, out: string): Promise<RamdiskManifest> =>
  buildRamdisk({
    flavour,
    out,
    cache: join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'byoi/debian'),
    fast: true,
    entry: join(import.meta.dirname, 'testing/probe-agent.ts'),
    release: '0.0.0',
    progress: () => undefined,
  })

const medium = {
  controlUrl: 'https://192.0.2.1/',
  caPem: 'none',
  server: 'ns1.example.test',
  epoch: 7,
  secret: 'secret',
  time: 1_800_000_000,
  network: null,
}

interface Facts {
  started: number
  medium: string
  words: string
  thread: string
  disks: string[]
  ports: string[]
  secureBoot: boolean
}

/** What the probe printed on the console. */
function factsOn(console: string): Facts {
  const line = /^probe: (.*)$/m.exec(console)?.[1]
  assert.ok(line !== undefined, `no probe ran: ${console.slice(-2000)}`)
  return JSON.parse(line) as Facts
}

before(async () => {
  for (const flavour of ramdiskFlavours) await build(flavour, folder(flavour))
})

describe('A built ramdisk', () => {
  test('is the same, byte for byte, when it is built again elsewhere', async () => {
    const again = join(directory, 'again')
    assert.deepEqual(await build('cloud', again), manifestOf('cloud'))
    for (const name of ['vmlinuz', 'initrd', 'byoi.iso', 'ipxe/snponly.efi'])
      assert.ok(readFileSync(join(again, name)).equals(file('cloud', name)), `${name} differs`)
    rmSync(again, { recursive: true })
  })

  for (const flavour of ramdiskFlavours) {
    describe(flavour, () => {
      const tree = join(directory, `${flavour}-tree`)
      before(() => {
        mkdirSync(tree)
        const archive = spawnSync('zstd', ['-dcq'], {
          input: file(flavour, 'initrd'),
          maxBuffer: 2 ** 30,
        }).stdout
        execFileSync('cpio', ['-idm', '--quiet', '--no-absolute-filenames'], { cwd: tree, input: archive })
      })

      test('has a manifest that tells its files and packages', () => {
        const manifest = manifestOf(flavour)
        assert.match(manifest.kernel, flavour === 'cloud' ? /-cloud-amd64$/ : /-\d+-amd64$/)
        assert.equal(manifest.files.initrd.size, file(flavour, 'initrd').length)
        assert.match(manifest.packages['libc6'] ?? '', /^2\.36/)
      })

      test('every module can be loaded with all that it needs, as modprobe reads its index', () => {
        const { kernel } = manifestOf(flavour)
        const modules = globSync('usr/lib/modules/*/kernel/**/*.ko', { cwd: tree })
        assert.ok(modules.length > 100)
        const names = modules.map((path) => path.split('/').at(-1)?.replace(/\.ko$/, '') ?? '')
        const args = ['--dirname', tree, '--set-version', kernel, '--show-depends', '--all', ...names]
        const { status, stderr } = spawnSync('modprobe', args)
        assert.equal(status, 0, stderr.toString())
      })

      test("every program's libraries are found by the loader in the tree", () => {
        const libraries = join(tree, 'usr/lib/x86_64-linux-gnu')
        const loader = join(libraries, 'ld-linux-x86-64.so.2')
        const programs = globSync(['usr/bin/*', 'usr/lib/sftp-server', 'usr/lib/x86_64-linux-gnu/*'], {
          cwd: tree,
        }).filter((path) => isElf(readFileSync(join(tree, path))))
        assert.ok(programs.length > 50)
        for (const path of programs) {
          const { stdout } = spawnSync(loader, ['--library-path', libraries, '--list', join(tree, path)])
          const outside = stdout.toString().match(/not found|=> (?!\/tmp)/)
          assert.equal(outside, null, `${path}: ${stdout.toString()}`)
        }
      })
    })
  }
})

describe('A server that boots the ramdisk', { skip: lacksQemu }, () => {
  /** Kernel and initramfs as a network boot gives them. */
  const direct = (flavour: RamdiskFlavour, words = ''): string[] => {
    const initrd = join(directory, `${flavour}.initrd`)
    writeFileSync(initrd, Buffer.concat([file(flavour, 'initrd'), bootMediumArchive(medium)]))
    const line = joinKernelWords(manifestOf(flavour).kernelWords, words)
    const kernel = ['-kernel', join(folder(flavour), 'vmlinuz'), '-initrd', initrd, '-append', line]
    return ['-machine', 'q35', ...kernel, '-nic', 'user,model=virtio-net-pci']
  }
  const virtioDisk = [
    '-drive',
    'file=null-co://,if=none,id=d,format=raw',
    '-device',
    'virtio-blk-pci,drive=d',
  ]
  const sataDisk = [
    '-drive',
    'file=null-co://,if=none,id=d,format=raw',
    '-device',
    'ide-hd,drive=d,bus=ide.0',
  ]

  const cases = [
    { flavour: 'cloud', memory: 512, disk: virtioDisk, name: 'vda' },
    { flavour: 'cloud', memory: 768, disk: virtioDisk, name: 'vda' },
    { flavour: 'generic', memory: 512, disk: virtioDisk, name: 'vda' },
    { flavour: 'generic', memory: 768, disk: sataDisk, name: 'sda' },
  ] as const
  for (const { flavour, memory, disk, name } of cases) {
    test(`with ${memory} MiB runs the agent of ${flavour}, with its medium, port and disk ${name}`, async () => {
      const console = await runGuest({ memory, args: [...direct(flavour), ...disk] })
      const facts = factsOn(console)
      assert.deepEqual(JSON.parse(facts.medium), medium)
      assert.equal(facts.thread, 'runs')
      assert.deepEqual(facts.ports, ['eth0'])
      assert.ok(facts.disks.includes(name))
      assert.match(console, /byoi: poweroff at/)
    })
  }

  test('prints on a second serial port, and on it alone, when its words name that', async () => {
    const log = join(directory, 'ttyS1.log')
    const args = [...direct('cloud', 'console=ttyS1,115200'), '-serial', `file:${log}`]
    const first = await runGuest({ memory: 512, args })
    assert.doesNotMatch(first, /probe:/)
    assert.equal(factsOn(readFileSync(log, 'latin1').replaceAll('\r', '')).thread, 'runs')
  })

  test('turns itself off when the agent cannot run', async () => {
    const args = direct('cloud')
    const broken = join(directory, 'cloud.initrd')
    const agent = {
      kind: 'file',
      path: 'usr/lib/byoi/agent.mjs',
      data: Buffer.from('throw new Error("no")'),
    } as const
    writeFileSync(broken, Buffer.concat([file('cloud', 'initrd'), ...newcArchive([agent])]))
    const console = await runGuest({ memory: 512, args })
    assert.match(console, /Error: no[^]*byoi: poweroff at/)
  })

  test('gives a shell instead of the agent when the kernel words ask for it', async () => {
    const types = { after: /# $/, text: 'echo "shell-$((6 * 7))"; poweroff\n' }
    const console = await runGuest({ memory: 512, args: direct('cloud', 'byoi.shell'), types })
    assert.match(console, /^shell-42$/m)
    assert.doesNotMatch(console, /probe:/)
  })
})

describe('A server that boots the ISO', { skip: lacksQemu }, () => {
  const iso = join(directory, 'patched.iso')
  const words = 'console=tty0 console=ttyS0,115200 rootfstype=ramfs byoi.test=patched'

  /** The ISO of the generic flavour, with a medium and kernel words put into their places, and `flip` changed in its kernel. */
  const patch = (flip: boolean): void => {
    const manifest = manifestOf('generic')
    const bytes = file('generic', 'byoi.iso')
    bootMediumArchive(medium).copy(bytes, manifest.iso.medium.offset)
    kernelWordsFile(words, manifest.iso.words.length).copy(bytes, manifest.iso.words.offset)
    if (flip) {
      const kernel = file('generic', 'vmlinuz')
      const at = bytes.indexOf(kernel) + kernel.length / 2
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    }
    writeFileSync(iso, bytes)
  }
  const drive = ['-drive', `file=${iso},if=none,id=cd,format=raw,media=cdrom,readonly=on`]
  const cd = [...drive, '-device', 'ide-cd,drive=cd,bootindex=0']
  const stick = [
    '-drive',
    `file=${iso},if=none,id=cd,format=raw,readonly=on`,
    '-device',
    'qemu-xhci',
    '-device',
    'usb-storage,drive=cd,bootindex=0,removable=on',
  ]
  const cases: { firmware: Firmware; from: string; args: string[] }[] = [
    { firmware: 'BIOS', from: 'a CD', args: cd },
    { firmware: 'UEFI', from: 'a CD', args: cd },
    { firmware: 'UEFI with Secure Boot', from: 'a CD', args: cd },
    { firmware: 'BIOS', from: 'a USB stick', args: stick },
    { firmware: 'UEFI with Secure Boot', from: 'a USB stick', args: stick },
  ]
  for (const { firmware, from, args } of cases) {
    test(`by ${firmware} from ${from} runs the agent, with its medium and kernel words`, async () => {
      patch(false)
      const console = await runGuest({
        memory: 768,
        args: [...firmwareArguments(firmware, directory), ...args],
      })
      const facts = factsOn(console)
      assert.deepEqual(JSON.parse(facts.medium), medium)
      assert.match(facts.words, / byoi\.test=patched$/)
      assert.equal(facts.secureBoot, firmware === 'UEFI with Secure Boot')
    })
  }

  test('by UEFI with Secure Boot refuses a kernel of which one bit is changed', async () => {
    patch(true)
    const args = [...firmwareArguments('UEFI with Secure Boot', directory), ...cd]
    const console = await runGuest({ memory: 768, args, until: /bad shim signature|probe:/ })
    assert.match(console, /bad shim signature/)
  })
})
