import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import {
  lacks,
  makeRaw,
  MiB,
  options,
  readAt,
  run,
  scratch,
  serve,
  usedDisk,
} from './deploy-image.fixture.ts'
import { deployImage } from './deploy-image.ts'
import type { DeployResult, ImageRequest } from './deploy-image.types.ts'
import { type DiskState, type ImagingCode, ImagingError } from './error.ts'

const IMAGE = 12 * MiB
const skip = lacks('minisign', 'sha256sum')
const SECRET = [{ key: 'Authorization', value: 'Bearer s3cret' }]

interface Answer {
  status?: number
  headers?: Record<string, string>
  body?: Buffer | string
}

/** Serves what `answers` says at each path, and keeps which headers were sent where. */
async function site(answers: Record<string, Answer | (() => Answer)>) {
  const seen = new Map<string, IncomingHttpHeaders>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    seen.set(path, request.headers)
    const found = answers[path] ?? { status: 404, body: 'none' }
    const { status = 200, headers = {}, body = '' } = typeof found === 'function' ? found() : found
    response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An image, SHA256SUMS of it, a key, and signatures by it over both, made by the programs that people use. */
async function published(folder: string) {
  const image = await makeRaw(join(folder, 'image.raw'), IMAGE)
  const sums = join(folder, 'SHA256SUMS')
  await writeFile(sums, (await run('sha256sum', ['image.raw'], { cwd: folder })).stdout)
  const pair = (name: string) => ['-p', join(folder, `${name}.pub`), '-s', join(folder, `${name}.sec`)]
  const secret = ['-s', join(folder, 'key.sec')]
  for (const name of ['key', 'other']) await run('minisign', ['-G', '-W', '-f', ...pair(name)])
  await run('minisign', ['-S', ...secret, '-m', image, sums])
  return {
    image: await readFile(image),
    sums: await readFile(sums),
    imageSignature: await readFile(`${image}.minisig`),
    sumsSignature: await readFile(`${sums}.minisig`),
    key: await readFile(join(folder, 'key.pub'), 'utf8'),
    other: await readFile(join(folder, 'other.pub'), 'utf8'),
  }
}

type Published = Awaited<ReturnType<typeof published>>

/** Deploys onto a used disk in `folder`. */
async function deploy(folder: string, image: Partial<ImageRequest> & { url: string }): Promise<DeployResult> {
  return deployImage(options(image, await usedDisk(join(folder, 'disk'), 16 * MiB)))
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function assertRefused(
  folder: string,
  image: Partial<ImageRequest> & { url: string },
  [code, disk, says]: readonly [ImagingCode, DiskState, RegExp],
): Promise<void> {
  await assert.rejects(deploy(folder, image), (error) => {
    assert.ok(error instanceof ImagingError)
    assert.match(error.cause, says)
    assert.deepEqual([error.code, error.disk], [code, disk])
    assert.doesNotMatch(`${error.message}${error.remedy}`, /s3cret/)
    return true
  })
  const head = await readAt(join(folder, 'disk'), 0, MiB)
  const byte = disk === 'untouched' ? 0xff : 0
  assert.ok(
    head.every((each) => each === byte),
    `the disk is not ${disk}`,
  )
}

describe('a checksum file', { skip }, () => {
  const answersOf = ({ image, sums, sumsSignature }: Published) => ({
    '/image.raw': { body: image },
    '/SHA256SUMS': { body: sums },
    '/SHA256SUMS.minisig': { body: sumsSignature },
  })

  test('gives the checksum, unsigned and signed, over HTTP and from files', async () => {
    await using folder = await scratch()
    const made = await published(folder.path)
    await using server = await site(answersOf(made))
    const at = (name: string) => ({ url: `${server.origin}${name}` })
    const file = (name: string) => ({ url: join(folder.path, name), file: true })
    const url = `${server.origin}/image.raw`
    const list = { ...at('/SHA256SUMS'), name: null }
    const signature = at('/SHA256SUMS.minisig')
    const cases: [Partial<ImageRequest> & { url: string }, RegExp][] = [
      [{ url, sums: { ...list, keys: [], signature: null } }, /which nobody has signed/],
      [{ url, sums: { ...list, keys: [made.other, made.key], signature } }, /signed by minisign key/],
      [
        {
          url: join(folder.path, 'image.raw'),
          sums: {
            ...file('SHA256SUMS'),
            name: null,
            keys: [made.key],
            signature: file('SHA256SUMS.minisig'),
          },
        },
        /SHA256SUMS, signed by minisign key/,
      ],
    ]
    for (const [image, says] of cases) {
      const result = await deploy(folder.path, image)
      assert.deepEqual(
        [result.disk, result.checkSum, result.checkSumType],
        ['complete', sha256(made.image), 'sha256'],
      )
      assert.match(result.notes.join('\n'), says)
    }
  })

  test('that cannot be believed leaves the disk untouched', async () => {
    await using folder = await scratch()
    const made = await published(folder.path)
    await using server = await site({
      ...answersOf(made),
      '/changed': { body: `${made.sums.toString()}\n` },
      '/page': { body: '<html></html>' },
      '/large': { body: Buffer.alloc(1024 * 1024 + 1, 'a') },
      '/clear': { body: `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${made.sums.toString()}` },
    })
    const at = (name: string) => ({ url: `${server.origin}${name}` })
    const list = { ...at('/SHA256SUMS'), name: null, keys: [made.key], signature: at('/SHA256SUMS.minisig') }
    const unsigned = { keys: [], signature: null }
    const cases: [ImageRequest['sums'], ImagingCode, RegExp][] = [
      [{ ...list, signature: null }, 'TRUST', /is not signed in itself, and no signature/],
      [{ ...list, keys: [] }, 'TRUST', /no key to verify it by/],
      [{ ...list, keys: [made.other] }, 'TRUST', /not among the keys given/],
      [{ ...list, keys: ['nonsense'] }, 'TRUST', /no public key that can be read/],
      [{ ...list, ...at('/changed') }, 'TRUST', /is not one over these bytes/],
      [{ ...list, signature: at('/SHA256SUMS') }, 'TRUST', /neither minisign nor OpenPGP/],
      [{ ...list, signature: at('/none') }, 'DOWNLOAD', /The signature .* could not be fetched: .* 404/],
      [{ ...list, ...at('/none') }, 'DOWNLOAD', /The checksum file .* could not be fetched: .* 404/],
      [{ ...list, ...at('/large'), ...unsigned }, 'TRUST', /more than 1048576 bytes/],
      [{ ...list, ...at('/page'), ...unsigned }, 'TRUST', /no checksums at all/],
      [{ ...list, ...at('/clear'), ...unsigned }, 'TRUST', /no key to verify it by/],
      [{ ...list, ...at('/clear'), signature: null }, 'TRUST', /cannot be read/],
      [{ ...list, name: 'other.raw' }, 'TRUST', /none of a file named "other\.raw"/],
      [{ ...list, url: 'http://169.254.169.254/SUMS' }, 'DOWNLOAD', /The checksum file .* metadata service/],
    ]
    for (const [sums, code, says] of cases)
      await assertRefused(folder.path, { ...at('/image.raw'), sums: sums ?? null }, [code, 'untouched', says])
    assert.equal(server.seen.has('/image.raw'), false)
    const checkSum = { type: 'sha256', value: sha256(made.image) } as const
    await assertRefused(folder.path, { ...at('/image.raw'), checkSum, sums: list }, [
      'TRUST',
      'untouched',
      /Both/,
    ])
  })

  test('for another image leaves a disk that does not boot', async () => {
    await using folder = await scratch()
    const made = await published(folder.path)
    await using server = await site({
      ...answersOf(made),
      '/image.raw': { body: Buffer.concat([made.image.subarray(0, -1), Buffer.from('x')]) },
    })
    const sums = { url: `${server.origin}/SHA256SUMS`, name: null, keys: [], signature: null }
    await assertRefused(folder.path, { url: `${server.origin}/image.raw`, sums }, [
      'SUM',
      'unbootable',
      new RegExp(`while ${sha256(made.image)} was given`),
    ])
  })

  test('gets the headers of the image only from its own origin, and only until it redirects', async () => {
    await using folder = await scratch()
    const made = await published(folder.path)
    await using other = await site(answersOf(made))
    await using server = await site({
      ...answersOf(made),
      '/moved': { status: 302, headers: { location: `${other.origin}/SHA256SUMS` } },
    })
    const image = { url: `${server.origin}/image.raw`, httpHeader: SECRET }
    const list = (url: string) => ({ url, name: null, keys: [made.key] })
    const signature = { url: `${other.origin}/SHA256SUMS.minisig` }
    await deploy(folder.path, { ...image, sums: { ...list(`${server.origin}/SHA256SUMS`), signature } })
    assert.equal(server.seen.get('/SHA256SUMS')?.authorization, 'Bearer s3cret')
    assert.equal(other.seen.get('/SHA256SUMS.minisig')?.authorization, undefined)
    await deploy(folder.path, { ...image, sums: { ...list(`${server.origin}/moved`), signature } })
    assert.equal(server.seen.get('/moved')?.authorization, 'Bearer s3cret')
    assert.equal(other.seen.get('/SHA256SUMS')?.authorization, undefined)
  })
})

describe('a signature of the image', { skip }, () => {
  test('is good over the bytes as served: plain, without Range, packed, and after a change of the file', async () => {
    await using folder = await scratch()
    const made = await published(folder.path)
    const packed = join(folder.path, 'image.raw.gz')
    await writeFile(packed, gzipSync(made.image, { level: 1 }))
    await run('minisign', ['-S', '-s', join(folder.path, 'key.sec'), '-m', packed])
    const of = (path: string) => ({ url: `${path}.minisig`, file: true, keys: [made.key] })
    const raw = join(folder.path, 'image.raw')
    await using ranged = await serve(raw, { cutAfter: (request) => (request < 4 ? 5 * MiB : IMAGE) })
    await using plain = await serve(raw, { ranges: false })
    await using chunked = await serve(raw, { ranges: false, chunked: true })
    await using again = await serve(raw, {
      ranges: false,
      cutAfter: (request) => (request === 1 ? 5 * MiB : IMAGE),
    })
    await using gzip = await serve(packed)
    for (const [url, path] of [
      [ranged.url, raw],
      [plain.url, raw],
      [chunked.url, raw],
      [again.url, raw],
      [raw, raw],
      [gzip.url, packed],
    ] as const) {
      const result = await deploy(folder.path, { url, signature: of(path) })
      assert.deepEqual([result.disk, result.bytesServed], ['complete', (await stat(path)).size])
      assert.match(result.notes.join('\n'), /The image is signed by minisign key [0-9A-F]{16}\./)
      assert.ok((await readAt(join(folder.path, 'disk'), 0, IMAGE)).equals(made.image))
    }
  })

  test('over other bytes leaves a disk that does not boot, whatever the checksum says', async () => {
    await using folder = await scratch()
    const made = await published(folder.path)
    const changed = Buffer.concat([made.image.subarray(0, -1), Buffer.from('x')])
    await using server = await site({
      '/image.raw': { body: changed },
      '/image.raw.minisig': { body: made.imageSignature },
    })
    const signature = { url: `${server.origin}/image.raw.minisig`, keys: [made.key] }
    const checkSum = { type: 'sha256', value: sha256(changed) } as const
    for (const more of [{}, { checkSum }])
      await assertRefused(folder.path, { url: `${server.origin}/image.raw`, signature, ...more }, [
        'TRUST',
        'unbootable',
        /is not one over these bytes/,
      ])
  })

  test('that cannot hold leaves the disk untouched', async () => {
    await using folder = await scratch()
    const made = await published(folder.path)
    await run('minisign', [
      '-S',
      '-l',
      '-s',
      join(folder.path, 'key.sec'),
      '-m',
      join(folder.path, 'image.raw'),
    ])
    await using server = await site({
      '/image.raw': { body: made.image },
      '/good': { body: made.imageSignature },
      '/legacy': { body: await readFile(join(folder.path, 'image.raw.minisig')) },
      '/large': { body: Buffer.alloc(70_000, 'a') },
    })
    const cases: [string, string[], ImagingCode, RegExp][] = [
      ['/good', [made.other], 'TRUST', /not among the keys given/],
      ['/good', [], 'TRUST', /no key to verify it by/],
      ['/legacy', [made.key], 'TRUST', /over the whole file/],
      ['/large', [made.key], 'TRUST', /more than 65536 bytes/],
      ['/none', [made.key], 'DOWNLOAD', /404/],
    ]
    for (const [path, keys, code, says] of cases) {
      const signature = { url: `${server.origin}${path}`, keys }
      await assertRefused(folder.path, { url: `${server.origin}/image.raw`, signature }, [
        code,
        'untouched',
        says,
      ])
    }
  })
})
