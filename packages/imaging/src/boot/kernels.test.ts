import assert from 'node:assert/strict'
import { test } from 'node:test'
import { extWith, type Tree, volumeOf } from '../filesystem/testing/volumes.ts'
import { lacking } from '../table/testing/run-tool.ts'
import { findKernels, warnOfBus } from './kernels.ts'

const skip = lacking('mke2fs')
const file = Buffer.from('1')
const treeOf = (...paths: string[]): Tree => Object.fromEntries(paths.map((path) => [path, file]))

const rows: [what: string, tree: Tree, kernels: string[]][] = [
  [
    'a root file system',
    treeOf('boot/vmlinuz-6.1.0-56-cloud-amd64', 'boot/initrd.img-6.1.0-56-cloud-amd64', 'etc/fstab'),
    ['vmlinuz-6.1.0-56-cloud-amd64'],
  ],
  [
    'a boot partition',
    treeOf('vmlinuz-5.14.0-362.el9.x86_64', 'vmlinuz-0-rescue-0123456789abcdef', 'grub2/grub.cfg'),
    ['vmlinuz-0-rescue-0123456789abcdef', 'vmlinuz-5.14.0-362.el9.x86_64'],
  ],
  ['names without a version', treeOf('vmlinuz', 'boot/vmlinuz', 'boot/vmlinuz.old', 'boot/bzImage'), []],
  ['names that could be commands', treeOf('boot/vmlinuz-\x1b[2J', 'boot/vmlinuz-a b'), []],
  ['a file named boot', treeOf('boot', 'vmlinuz-6.1.0'), ['vmlinuz-6.1.0']],
  ['nothing', {}, []],
]

for (const [what, tree, kernels] of rows) {
  test(`kernels of ${what} are told by their names`, { skip }, async () => {
    assert.deepEqual(await findKernels(volumeOf(extWith(tree, ['-t', 'ext4']))), kernels)
  })
}

test('a volume of another kind has no kernels', async () => {
  assert.deepEqual(await findKernels(volumeOf(Buffer.alloc(65536))), [])
  assert.deepEqual(await findKernels(volumeOf(Buffer.alloc(100))), [])
})

const cloud = 'vmlinuz-6.1.0-56-cloud-amd64'
const generic = 'vmlinuz-6.1.0-56-amd64'

const verdicts: [kernels: string[], bus: string | null, isWarned: boolean][] = [
  [[cloud], 'sata', true],
  [[cloud], 'sas', true],
  [[cloud], 'usb', true],
  [[cloud], 'virtio', false],
  [[cloud], 'nvme', false],
  [[cloud], 'file', false],
  [[cloud], null, false],
  [['vmlinuz-6.12.4+bpo-cloud-arm64'], 'usb', true],
  [['vmlinuz-6.1.0-55-cloud-amd64', cloud], 'sata', true],
  [[cloud, generic], 'sata', false],
  [[generic], 'sata', false],
  [['vmlinuz-6.8.0-1015-kvm'], 'sata', false],
  [[], 'sata', false],
]

for (const [kernels, bus, isWarned] of verdicts) {
  test(`${kernels.join(' and ') || 'no kernel'} on ${bus ?? 'an unknown bus'}: ${isWarned ? 'warned of' : 'nothing to say'}`, () => {
    const warning = warnOfBus(kernels, bus)
    assert.equal(warning !== null, isWarned)
    if (warning)
      assert.match(warning, /Debian's kernel for clouds \(vmlinuz-.*-cloud-.*\), which has no driver for/)
  })
}
