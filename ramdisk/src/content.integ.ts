import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ramdiskFlavours } from '@byoi/contract'
import { isElf } from './image/elf.ts'
import { type Built, buildForTest } from './testing/built.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-ramdisk-content-'))
after(() => rmSync(directory, { recursive: true }))

/** Unpacks an initramfs into the new directory `tree`, as the kernel does. */
function unpack(initrd: Buffer, tree: string): void {
  mkdirSync(tree)
  const { stdout: archive } = spawnSync('zstd', ['-dcq'], { input: initrd, maxBuffer: 2 ** 30 })
  execFileSync('cpio', ['-idm', '--quiet', '--no-absolute-filenames'], { cwd: tree, input: archive })
}

for (const flavour of ramdiskFlavours) {
  describe(`The ramdisk ${flavour}`, () => {
    let built: Built
    const tree = join(directory, `${flavour}-tree`)
    before(async () => {
      built = await buildForTest(flavour, join(directory, flavour))
      unpack(built.read('initrd'), tree)
    })

    test('has a manifest that tells its files and packages', () => {
      const { kernel, files, packages } = built.manifest
      assert.match(kernel, flavour === 'cloud' ? /-cloud-amd64$/ : /-\d+-amd64$/)
      assert.equal(files.initrd.size, built.read('initrd').length)
      assert.match(packages['libc6'] ?? '', /^2\.36/)
    })

    test('is the same, byte for byte, when it is built again elsewhere', async () => {
      const again = await buildForTest(flavour, join(directory, 'again'))
      assert.deepEqual(again.manifest, built.manifest)
      for (const name of ['vmlinuz', 'initrd', 'byoi.iso', 'ipxe/snponly.efi'])
        assert.ok(again.read(name).equals(built.read(name)), `${name} differs`)
    })

    test('every module can be loaded with all that it needs, as modprobe reads its index', () => {
      const modules = globSync('usr/lib/modules/*/kernel/**/*.ko', { cwd: tree })
      assert.ok(modules.length > 100)
      const names = modules.map((path) => path.split('/').at(-1)?.replace(/\.ko$/, '') ?? '')
      const options = ['--dirname', tree, '--set-version', built.manifest.kernel, '--show-depends', '--all']
      const { status, stderr } = spawnSync('modprobe', [...options, ...names])
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
        const lost = stdout.toString().match(/not found|=> (?!\/tmp\/byoi-)/)
        assert.equal(lost, null, `${path}: ${stdout.toString()}`)
      }
    })
  })
}
