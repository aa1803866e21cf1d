import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, test } from 'node:test'

const root = join(import.meta.dirname, '..')
const needed = ['mmdebstrap', 'fakeroot', 'mke2fs', 'mkfs.vfat', 'mcopy', 'sgdisk', 'qemu-img']
const absent = needed.filter((tool) => spawnSync(tool, ['--version']).error !== undefined)
const skip =
  (process.arch !== 'x64' && 'the recipe is for x64') ||
  (absent.length > 0 && `not installed: ${absent.join(', ')}`)

const folder = mkdtempSync(join(tmpdir(), 'byoi-recipe-'))
after(() => rmSync(folder, { recursive: true }))

/** The commands of docs/images.md under "Debian, step by step", in their order. */
function recipe(): string {
  const page = readFileSync(join(root, 'docs', 'images.md'), 'utf8')
  const [, section = ''] = /^## Debian, step by step$([^]*?)^## /m.exec(page) ?? []
  return [...section.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, commands]) => commands).join('')
}

interface Result {
  status: string
  verdicts: Record<'fits' | 'boots', { answer: string; cause: string }>
  table: { partitions: { typeName: string; fileSystem: { type: string; label: string } | null }[] }
  cloudInit: object
  consoles: { consoles: string[] }[]
  biosBootCode: string
  efi: { loaders: { path: string }[] }[]
  kernels: string[]
  warnings: string[]
}

/** What byoi says of the image that the recipe made. */
function inspect(...args: string[]): Result {
  const image = join(folder, 'debian.qcow2')
  return JSON.parse(
    execFileSync(join(root, 'byoi'), ['inspect', image, '--json', ...args], { encoding: 'utf8' }),
  ) as Result
}

before(() => {
  if (skip) return
  const env = { ...process.env, PATH: [root, process.env['PATH']].join(delimiter) }
  const { status } = spawnSync('sh', ['-eu'], {
    cwd: folder,
    input: recipe(),
    env,
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  assert.equal(status, 0, 'the recipe failed')
})

test('the recipe has all of its steps', () => {
  for (const word of ['mmdebstrap', 'mke2fs', 'mkfs.vfat', 'sgdisk', 'boot.img', 'qemu-img', 'byoi inspect'])
    assert.ok(recipe().includes(word), word)
})

for (const [boot, cause] of [
  ['uefi', /starts \\EFI\\BOOT\\BOOTX64\.EFI of partition 2/],
  ['legacy', /boot code of the first sector \(grub\)/],
] as const) {
  test(`the image of the recipe fits and boots by ${boot}, on hardware too`, { skip }, () => {
    const { status, verdicts, warnings } = inspect('--disk-size', '12GiB', '--boot', boot, '--bus', 'sata')
    assert.deepEqual([status, verdicts.fits.answer, verdicts.boots.answer], ['ok', 'yes', 'yes'])
    assert.match(verdicts.boots.cause, cause)
    assert.deepEqual(warnings, [])
  })
}

test('the image of the recipe is what the page says it is', { skip }, () => {
  const { table, cloudInit, consoles, biosBootCode, efi, kernels } = inspect()
  assert.deepEqual(
    table.partitions.map(({ typeName, fileSystem }) => [typeName, fileSystem?.type, fileSystem?.label]),
    [
      ['BIOS boot', undefined, undefined],
      ['EFI system', 'fat16', 'ESP'],
      ['Linux root (x86-64)', 'ext4', 'root'],
    ],
  )
  assert.deepEqual(cloudInit, {
    partition: 3,
    isInstalled: true,
    isDisabled: false,
    dataSources: ['ConfigDrive', 'None'],
  })
  assert.deepEqual(
    consoles.map((each) => each.consoles),
    [['tty0', 'ttyS0,115200']],
  )
  assert.equal(biosBootCode, 'grub')
  assert.deepEqual(
    efi[0]?.loaders.map(({ path }) => path),
    ['\\EFI\\BOOT\\BOOTX64.EFI', '\\EFI\\BOOT\\grubx64.efi'],
  )
  assert.match(kernels.join(), /^vmlinuz-6\.1\.0-\d+-amd64$/)
})
