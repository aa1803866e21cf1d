import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openExtTree, openFatTree } from '../filesystem/file-tree.ts'
import { extWith, fatWith, type Tree, volumeOf } from '../filesystem/testing/volumes.ts'
import { lacking } from '../table/testing/run-tool.ts'
import { dataSourceList, findCloudInit } from './cloud-init.ts'
import { consolesIn, findConsoles } from './kernel-consoles.ts'

const skip = lacking('mke2fs', 'mkfs.vfat', 'mcopy')
const textTree = (files: Record<string, string>): Tree =>
  Object.fromEntries(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]))
const extTree = (files: Record<string, string>) =>
  openExtTree(volumeOf(extWith(textTree(files), ['-t', 'ext4'])))

const root = { 'etc/fstab': '', 'usr/bin/env': '' }
const installed = { ...root, 'etc/cloud/cloud.cfg': 'users: [default]\n' }
const found = { isInstalled: true, isDisabled: false, dataSources: null }

const roots: [what: string, files: Record<string, string>, expected: object | null][] = [
  ['a root without cloud-init', root, { isInstalled: false, isDisabled: false, dataSources: null }],
  ['a root with cloud-init and its own list', installed, found],
  ['a root with the program alone', { ...root, 'usr/bin/cloud-init': '#!' }, found],
  [
    'the list of the last file',
    {
      ...installed,
      'etc/cloud/cloud.cfg.d/90_dpkg.cfg': 'datasource_list: [ NoCloud, ConfigDrive ]\n',
      'etc/cloud/cloud.cfg.d/99_local.cfg': 'datasource_list: [Ec2]\n',
      'etc/cloud/cloud.cfg.d/README': 'datasource_list: [None]\n',
    },
    { ...found, dataSources: ['Ec2'] },
  ],
  [
    'cloud-init that is kept from starting',
    { ...installed, 'etc/cloud/cloud-init.disabled': '' },
    { ...found, isDisabled: true },
  ],
  ['what is no root', { 'grub/grub.cfg': '' }, null],
]

for (const [what, files, expected] of roots) {
  test(`cloud-init: ${what}`, { skip }, async () => {
    assert.deepEqual(await findCloudInit(await extTree(files)), expected)
  })
}

const lists: [yaml: string, names: string[] | null][] = [
  ['datasource_list: [ConfigDrive, None]', ['ConfigDrive', 'None']],
  [
    '# to update: dpkg-reconfigure\ndatasource_list: [ "NoCloud",\n  ConfigDrive, # a word\n  None ]\n',
    ['NoCloud', 'ConfigDrive', 'None'],
  ],
  ["a: 1\ndatasource_list:\n- 'Ec2'\n  - None\nb: 2", ['Ec2', 'None']],
  ['datasource_list: []', []],
  ['#datasource_list: [Ec2]', null],
  ['nested:\n  datasource_list: [Ec2]', null],
  ['', null],
]
for (const [yaml, names] of lists) {
  test(`the data sources of ${JSON.stringify(yaml)}`, () => assert.deepEqual(dataSourceList(yaml), names))
}

const grub =
  "menuentry 'Debian' {\n\tlinux\t/vmlinuz root=LABEL=root ro console=tty0 console=ttyS0,115200\n}\n"
const lines: [text: string, consoles: string[] | null][] = [
  [grub, ['tty0', 'ttyS0,115200']],
  ['options root=UUID=1 ro console=ttyS1,115200n8\r\n', ['ttyS1,115200n8']],
  ['set kernelopts="root=UUID=1 console=ttyS0 "', ['ttyS0']],
  ['APPEND root=/dev/sda1 netconsole=1', []],
  ['# linux /vmlinuz console=ttyS0', null],
  ['set timeout=1', null],
]
for (const [text, consoles] of lines) {
  test(`the consoles of ${JSON.stringify(text)}`, () => assert.deepEqual(consolesIn(text), consoles))
}

test('consoles are found in the files of GRUB and of the Boot Loader Specification', { skip }, async () => {
  assert.deepEqual(await findConsoles(await extTree({ 'boot/grub/grub.cfg': grub })), [
    { path: '/boot/grub/grub.cfg', consoles: ['tty0', 'ttyS0,115200'] },
  ])
  const entries = textTree({ 'LOADER/ENTRIES/debian.conf': 'title Debian\noptions console=ttyS0\n' })
  assert.deepEqual(await findConsoles(await openFatTree(volumeOf(fatWith(entries)))), [
    { path: '/loader/entries/debian.conf', consoles: ['ttyS0'] },
  ])
})

test('a file is read as far as is asked, over blocks', { skip }, async () => {
  const text = 'line of text\n'.repeat(5000)
  const ext = await extTree({ 'a/file': text, 'a/empty': '' })
  const fat = await openFatTree(volumeOf(fatWith(textTree({ 'a/file': text, 'a/empty': '' }))))
  for (const tree of [ext, fat]) {
    assert.equal((await tree.read('a/file', 1e6))?.toString(), text)
    assert.equal((await tree.read('/a/file', 5000))?.toString(), text.slice(0, 5000))
    assert.equal((await tree.read('a/empty', 10))?.length, 0)
    assert.deepEqual(
      [await tree.read('a', 10), await tree.read('a/b', 10), await tree.list('a/file')],
      [null, null, null],
    )
    assert.deepEqual((await tree.list('a'))?.filter((name) => !name.startsWith('.')).sort(), [
      'empty',
      'file',
    ])
  }
})
