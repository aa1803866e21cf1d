import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { scratch } from '../deploy-image.fixture.ts'
import { ImagingError } from '../error.ts'
import { lacking, runTool } from '../table/testing/run-tool.ts'
import { buildConfigDrive } from './build-config-drive.ts'
import { phoneHome } from './phone-home.ts'

/** Python of the system: the one that Debian's cloud-init belongs to. */
const python = '/usr/bin/python3'
const script = join(import.meta.dirname, 'testing/run-phone-home.py')

function lacksCloudInit(): string | false {
  try {
    execFileSync(python, ['-c', 'import cloudinit.config.cc_phone_home'], { stdio: 'ignore' })
    return false
  } catch {
    return 'cloud-init is not installed'
  }
}

const skip = lacking('xorriso', 'mcopy') || lacksCloudInit()

/** Hears what is posted to it. */
async function listener(): Promise<
  { url: string; posts: { path: string; form: URLSearchParams }[] } & AsyncDisposable
> {
  const posts: { path: string; form: URLSearchParams }[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      posts.push({ path: `${request.method} ${request.url}`, form: new URLSearchParams(body) })
      response.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posts,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}

const extractors = {
  512: (image: string, into: string) =>
    runTool('xorriso', ['-osirrox', 'on', '-indev', image, '-extract', '/', into]),
  4096: (image: string, into: string) => runTool('mcopy', ['-s', '-n', '-i', image, '::openstack', into]),
}

/** Has cloud-init's own code read a config drive and phone home, and gives the configuration that it came to. */
async function bootWith(
  phoneHomeUrl: string | null,
  userData: string | null,
  sectorSize: 512 | 4096 = 512,
): Promise<Record<string, unknown> | null> {
  await using folder = await scratch()
  const drive = buildConfigDrive(
    {
      instanceId: 'deployment-1',
      hostname: 'server-1.example.org',
      sshKey: null,
      userData: userData === null ? null : Buffer.from(userData),
      userMetadatas: [],
      phoneHomeUrl,
    },
    sectorSize,
  )
  const [image, tree, state] = ['drive', 'tree', 'state'].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ]
  await writeFile(image, drive)
  await mkdir(tree)
  await mkdir(state)
  extractors[sectorSize](image, tree)
  await chmod(tree, 0o755)
  // Not the synchronous one: this process answers the call.
  const { stdout } = await promisify(execFile)(python, [script, tree, state])
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown> | null
}

for (const sectorSize of [512, 4096] as const) {
  test(`cloud-init posts who it is to the URL of a config drive in sectors of ${sectorSize} bytes`, {
    skip,
  }, async () => {
    await using server = await listener()
    await bootWith(`${server.url}/home/one-time?a=1&b=$INSTANCE_ID`, null, sectorSize)
    assert.equal(server.posts.length, 1)
    const [{ path, form } = assert.fail()] = server.posts
    assert.equal(path, 'POST /home/one-time?a=1&b=%24INSTANCE_ID')
    assert.deepEqual([...form.keys()].toSorted(), [
      'fqdn',
      'hostname',
      'instance_id',
      'pub_key_ecdsa',
      'pub_key_ed25519',
      'pub_key_rsa',
    ])
    assert.equal(form.get('instance_id'), 'deployment-1')
    assert.equal(form.get('hostname'), 'server-1')
    assert.equal(form.get('fqdn'), 'server-1.example.org')
  })
}

/** What user data does to the vendor data: `own` is the URL that the user data give. */
const rows: [what: string, userData: (own: string) => string | null, calls: 'ours' | 'own' | 'none'][] = [
  ['no user data', () => null, 'ours'],
  ['a script', () => '#!/bin/sh\ntrue\n', 'ours'],
  ['another cloud-config', () => '#cloud-config\npackages: [nginx]\n', 'ours'],
  [
    'a phone_home of their own',
    (own) => `#cloud-config\nphone_home: { url: "${own}", post: all, tries: 1 }\n`,
    'own',
  ],
  ['vendor data turned off', () => '#cloud-config\nvendor_data: { enabled: false }\n', 'none'],
] // prettier-ignore

for (const [what, userData, calls] of rows) {
  test(`with ${what}, ${calls === 'none' ? 'nobody is called' : `the call is ${calls}`}`, {
    skip,
  }, async () => {
    await using server = await listener()
    await bootWith(`${server.url}/ours`, userData(`${server.url}/own`))
    assert.deepEqual(
      server.posts.map(({ path }) => path),
      calls === 'none' ? [] : [`POST /${calls}`],
    )
  })
}

test('a phone_home of the user that says only where to call is completed with ours', { skip }, async () => {
  await using server = await listener()
  const own = `${server.url}/own`
  const merged = await bootWith(`${server.url}/ours`, `#cloud-config\nphone_home: { url: "${own}" }\n`)
  const { phone_home: ours } = phoneHome(server.url) as { phone_home: Record<string, unknown> }
  assert.deepEqual(merged, { ...ours, url: own })
})

test('without a URL there is no vendor data', { skip }, async () => {
  assert.equal(await bootWith(null, null), null)
  const drive = buildConfigDrive(
    { instanceId: 'i', hostname: null, sshKey: null, userData: null, userMetadatas: [], phoneHomeUrl: null },
    512,
  )
  assert.equal(Buffer.from(drive).includes('vendor_data'), false)
})

test('a URL cannot become another key of the configuration', { skip }, async () => {
  await using server = await listener()
  const configuration = await bootWith(`${server.url}/"}\nruncmd: [reboot]\n#\u2028é`, null)
  assert.deepEqual(Object.keys(configuration ?? {}).toSorted(), ['post', 'tries', 'url'])
  assert.equal(server.posts.length, 1)
})

for (const url of ['ftp://example.org/', 'javascript:alert(1)', 'home', '']) {
  test(`${JSON.stringify(url)} is refused as a URL to phone home to`, () => {
    assert.throws(
      () => phoneHome(url),
      (error) => error instanceof ImagingError && error.code === 'CFG' && !error.message.includes('alert'),
    )
  })
}
