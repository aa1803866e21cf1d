import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const launcher = join(import.meta.dirname, '..', '..', '..', 'byoi')
const packages = { gpg: 'gpg', minisign: 'minisign', sha512sum: 'coreutils' }
const missing: string[] = []
for (const [tool, name] of Object.entries(packages))
  await run(tool, ['--help']).catch((error: { code: unknown }) => {
    if (error.code === 'ENOENT') missing.push(`${tool} is not installed (Debian: ${name})`)
  })
const skip = missing.length > 0 && missing.join(', ')

const MiB = 1024 ** 2
const folder = mkdtempSync(join(tmpdir(), 'byoi-cli-'))
const at = (name: string) => join(folder, name)
const image = Buffer.alloc(4 * MiB, 'an image without a table ')
const sha512 = (bytes: Buffer) => createHash('sha512').update(bytes).digest('hex')

const env = { ...process.env, GNUPGHOME: folder }
const gpg = async (...args: string[]) => {
  const quiet = ['--batch', '--quiet', '--yes', '--pinentry-mode', 'loopback', '--passphrase', '']
  return (await run('gpg', [...quiet, ...args], { env, cwd: folder })).stdout
}

async function byoi(...args: string[]) {
  const child = spawn(launcher, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [status] = await exited
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) || '{}') as {
    disk?: string
    checksum?: string
    notes?: string[]
    error?: Record<string, string>
  }
  return { status, stdout, stderr, result }
}

let server: Server
let origin = ''

/** Everything is made by the programs that people use: sha512sum, gpg, minisign. */
before(async () => {
  if (skip) return
  writeFileSync(at('image.raw'), image)
  writeFileSync(at('other.raw'), Buffer.alloc(MiB, 'x'))
  const listed = await run('sha512sum', ['other.raw', 'image.raw'], { cwd: folder })
  writeFileSync(at('SHA512SUMS'), listed.stdout)
  for (const name of ['alice', 'mallory']) {
    await gpg('--quick-generate-key', name, 'ed25519', 'sign', 'never')
    writeFileSync(at(`${name}.asc`), await gpg('--armor', '--export', name))
    await gpg('--output', at(`${name}.gpg`), '--export', name)
  }
  await gpg('-u', 'alice', '--detach-sign', 'SHA512SUMS')
  await gpg('-u', 'alice', '--armor', '--output', 'image.raw.asc', '--detach-sign', 'image.raw')
  await gpg('-u', 'alice', '--clear-sign', '--output', 'CHECKSUM', 'SHA512SUMS')
  await run('minisign', ['-G', '-W', '-p', at('m.pub'), '-s', at('m.sec')])
  await run('minisign', ['-S', '-s', at('m.sec'), '-m', at('image.raw')])
  server = createServer((request, response) => {
    try {
      response.end(readFileSync(at(basename(request.url ?? ''))))
    } catch {
      response.writeHead(404).end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

after(async () => {
  server?.close()
  server?.closeAllConnections()
  await run('gpgconf', ['--kill', 'all'], { env }).catch(() => undefined)
  rmSync(folder, { recursive: true, force: true })
})

const write = (name: string, ...more: string[]) =>
  byoi('write', `${origin}/${name}`, '--type', 'raw', '--data-disk', '--to', at('disk.img'), ...more)

describe('write', { skip }, () => {
  const good: [string, () => string[], RegExp][] = [
    ['a checksum file', () => ['--checksum-url', `${origin}/SHA512SUMS`], /which nobody has signed/],
    [
      'a signed checksum file, the key in a file',
      () => [
        '--checksum-url',
        `${origin}/SHA512SUMS`,
        '--signature',
        `${origin}/SHA512SUMS.sig`,
        '--key',
        at('alice.asc'),
      ],
      /signed by OpenPGP key [0-9A-F]{16}/,
    ],
    [
      'a clear-signed checksum file, the key in a binary file beside another',
      () => ['--checksum-url', `${origin}/CHECKSUM`, '--key', at('mallory.gpg'), '--key', at('alice.gpg')],
      /signed by OpenPGP key [0-9A-F]{16}/,
    ],
    [
      'a signature of the image by OpenPGP',
      () => ['--signature', `${origin}/image.raw.asc`, '--key', at('alice.gpg')],
      /The image is signed by OpenPGP key [0-9A-F]{16}\./,
    ],
    [
      'a signature of the image by minisign from a file, the key on the command line, and a checksum file',
      () => [
        '--signature',
        at('image.raw.minisig'),
        '--key',
        readFileSync(at('m.pub'), 'utf8').split('\n')[1] ?? '',
        '--signature-of',
        'image',
        '--checksum-url',
        at('SHA512SUMS'),
      ],
      /The image is signed by minisign key [0-9A-F]{16}\./,
    ],
  ]
  for (const [what, args, says] of good) {
    test(`verifies by ${what}`, async () => {
      const ran = await write('image.raw', ...args())
      assert.equal(ran.status, 0, ran.stderr)
      assert.equal(ran.result.disk, 'complete')
      assert.match(ran.result.notes?.join('\n') ?? '', says)
      assert.ok(readFileSync(at('disk.img')).equals(image))
      if (args().includes('--checksum-url')) assert.equal(ran.result.checksum, sha512(image))
    })
  }

  test('of another image than the one listed fails as SUM with the type of the list', async () => {
    const named = ['--checksum-url', `${origin}/SHA512SUMS`, '--checksum-name', 'other.raw']
    const ran = await write('image.raw', ...named)
    assert.deepEqual([ran.status, ran.result.disk, ran.result.error?.['code']], [1, 'unbootable', 'SUM'])
    const other = sha512(readFileSync(at('other.raw')))
    const message = `Bad sha512 for downloaded file, got: ${sha512(image)} while expecting ${other}.`
    assert.equal(ran.result.error?.['message'], message)
    assert.ok(readFileSync(at('disk.img')).subarray(0, MiB).equals(Buffer.alloc(MiB)))
  })

  const bad: [string, string, () => string[], string, RegExp][] = [
    [
      'a signature of the image over other bytes',
      'other.raw',
      () => ['--signature', `${origin}/image.raw.asc`, '--key', at('alice.asc')],
      'unbootable',
      /by OpenPGP key [0-9A-F]{16} is not one over these bytes/,
    ],
    [
      'a signature by another key',
      'image.raw',
      () => ['--signature', `${origin}/image.raw.asc`, '--key', at('mallory.asc')],
      'untouched',
      /not among the keys given/,
    ],
    [
      'a clear-signed file without a key',
      'image.raw',
      () => ['--checksum-url', `${origin}/CHECKSUM`],
      'untouched',
      /no key to verify it by/,
    ],
    [
      'a file that is not signed although there is a key',
      'image.raw',
      () => ['--checksum-url', `${origin}/SHA512SUMS`, '--key', at('alice.asc')],
      'untouched',
      /is not signed in itself/,
    ],
    [
      'a private key',
      'image.raw',
      () => ['--signature', `${origin}/image.raw.minisig`, '--key', at('m.sec')],
      'untouched',
      /private/,
    ],
    [
      'an image that is not listed',
      'image.raw',
      () => ['--checksum-url', `${origin}/SHA512SUMS`, '--checksum-name', 'image'],
      'untouched',
      /holds 2 checksums, but none of a file named "image"/,
    ],
  ]
  for (const [what, name, args, disk, says] of bad) {
    test(`with ${what} fails as TRUST, the disk ${disk}`, async () => {
      const before_ = Buffer.alloc(4 * MiB, 0xff)
      writeFileSync(at('disk.img'), before_)
      const ran = await write(name, ...args())
      const { code, message, cause } = ran.result.error ?? {}
      assert.deepEqual(
        [ran.status, ran.result.disk, code, message],
        [1, disk, 'TRUST', 'The image could not be verified by its checksum file or signature.'],
      )
      assert.match(cause ?? '', says)
      const head = readFileSync(at('disk.img')).subarray(0, MiB)
      assert.ok(head.equals(disk === 'untouched' ? before_.subarray(0, MiB) : Buffer.alloc(MiB)))
    })
  }
})

for (const [args, says] of [
  [['--checksum-url', 'http://h/S', '--checksum', `md5:${'0'.repeat(32)}`], /not both/],
  [['--checksum-name', 'x'], /need --checksum-url/],
  [['--signature-of', 'sums', '--signature', 'http://h/s', '--key', 'k'], /need --checksum-url/],
  [['--signature-of', 'image'], /needs --signature/],
  [['--signature', 'http://h/s'], /needs --key/],
  [['--key', 'k'], /--key needs/],
  [['--key', tmpdir(), '--checksum-url', 'http://h/S'], /is no file/],
  [['--checksum-url', 'ftp://h/S'], /not ftp URLs/],
] as const) {
  test(`write with ${args.filter((each) => each.startsWith('--')).join(' ')} is wrong usage`, async () => {
    const ran = await byoi('write', 'image', '--type', 'raw', '--to', at('disk.img'), ...args)
    assert.deepEqual({ status: ran.status, stdout: ran.stdout }, { status: 2, stdout: '' })
    assert.match(ran.stderr, says)
  })
}
