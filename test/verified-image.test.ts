import assert from 'node:assert/strict'
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type DeploymentView } from '@byoi/contract'
import { command } from '../scripts/run-command.ts'
import { smallImage, type SmallImage } from '../scripts/small-image.ts'
import { absent, labTools, type Lab, startLab, untilEnded } from './support/lab.ts'

const tools = { ...labTools, gpg: 'gpg', gpgconf: 'gpgconf', minisign: 'minisign' }
const server = 'verified.example'
const canary = 'canary-7c1e'
const quiet = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', '']

describe('Images verified by keys of the account', { skip: absent(tools) }, () => {
  let lab: Lab
  let images: Server
  let image: SmallImage
  let vmdk = ''
  let disk = ''
  const asked = new Map<string, IncomingHttpHeaders>()

  const at = (name: string) => join(lab.folder, name)
  const url = (name: string) =>
    `http://127.0.0.1:${(images.address() as AddressInfo).port}/${name}?token=${canary}`
  const gpg = (...args: string[]) => command('gpg', ['--homedir', lab.folder, ...quiet, ...args])

  const deploy = async (body: object): Promise<DeploymentView> => {
    const posted = await lab.client.call('POST', `/byoi/server/${server}/deployment`, {
      httpHeader: [{ key: 'Authorization', value: canary }],
      ...body,
    })
    assert.equal(posted.status, 200, posted.text)
    const view = await untilEnded(lab.client, server)
    assert.equal(view.id, (posted.body as { id: string }).id)
    assert.ok(!JSON.stringify(view).includes(canary))
    return view
  }

  before(async () => {
    lab = await startLab()
    image = await smallImage(lab.folder, 'small', 16, 'raw')
    vmdk = at('small.vmdk')
    const form = ['-O', 'vmdk', '-o', 'subformat=streamOptimized']
    await command('qemu-img', ['convert', '-f', 'raw', ...form, image.path, vmdk])
    await writeFile(at('SHA256SUMS'), `${image.sha256}  ${basename(image.path)}\n`)
    await gpg('--quick-generate-key', 'alice', 'ed25519', 'sign', 'never')
    await gpg('--armor', '--output', at('alice.asc'), '--export', 'alice')
    await gpg('--detach-sign', at('SHA256SUMS'))
    await gpg('--detach-sign', vmdk)
    await gpg('--clear-sign', '--output', at('CHECKSUM'), at('SHA256SUMS'))
    await command('minisign', ['-G', '-W', '-p', at('m.pub'), '-s', at('m.sec')])
    await command('minisign', ['-S', '-s', at('m.sec'), '-m', image.path])
    images = createServer((request, response) => {
      const name = basename(new URL(request.url ?? '', 'http://h').pathname)
      asked.set(name, request.headers)
      readFile(at(name)).then(
        (bytes) => response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes),
        () => response.writeHead(404).end(),
      )
    })
    await new Promise<void>((resolve) => images.listen(0, '127.0.0.1', resolve))
    disk = await lab.addServer(server)
    for (const [name, file] of [
      ['alice', 'alice.asc'],
      ['m', 'm.pub'],
    ] as const) {
      const key = await readFile(at(file), 'utf8')
      const added = await lab.client.call('POST', '/byoi/signingKey', { name, key })
      assert.equal(added.status, 200, added.text)
    }
  })
  after(async () => {
    images.closeAllConnections()
    images.close()
    await command('gpgconf', ['--homedir', lab.folder, '--kill', 'all'])
    await lab.close()
  })

  const raw = () => ({ URL: url(basename(image.path)), type: 'raw' })
  const content = async (path: string) => (await readFile(path)).subarray(1024 * 1024, 15 * 1024 * 1024)

  test('a signed checksum file gives the checksum', async () => {
    const sums = { checkSumUrl: url('SHA256SUMS'), signatureUrl: url('SHA256SUMS.sig'), keyNames: ['alice'] }
    const view = await deploy({ ...raw(), ...sums })
    assert.deepEqual([view.state, view.checksum], ['done', image.sha256], JSON.stringify(view.error))
    assert.match(view.notes.join('\n'), /SHA256SUMS\?\*\*\*, signed by OpenPGP key [0-9A-F]{16}\./)
    assert.equal(asked.get('SHA256SUMS')?.authorization, canary)
    assert.ok((await content(disk)).equals(await content(image.path)))
  })

  test('a clear-signed one does too', async () => {
    const view = await deploy({ ...raw(), checkSumUrl: url('CHECKSUM'), keyNames: ['m', 'alice'] })
    assert.deepEqual([view.state, view.checksum], ['done', image.sha256], JSON.stringify(view.error))
  })

  test('a signed VMDK is deployed, and its last partition grows where that is asked for', async () => {
    const signature = { signatureUrl: url('small.vmdk.sig'), keyNames: ['alice'] }
    const view = await deploy({ URL: url('small.vmdk'), type: 'vmdk', growLastPartition: true, ...signature })
    assert.equal(view.state, 'done', JSON.stringify(view.error))
    assert.match(view.notes.join('\n'), /The image is signed by OpenPGP key/)
    const { partitiontable } = JSON.parse((await command('sfdisk', ['--json', disk])).toString()) as {
      partitiontable: { partitions: { size: number }[] }
    }
    assert.ok((partitiontable.partitions.at(-1)?.size ?? 0) * 512 > 48 * 1024 * 1024, 'it did not grow')
    assert.ok((await content(disk)).equals(await content(image.path)))
  })

  test('a key that did not sign leaves the disk as it was, and the clients of OVHcloud are told', async () => {
    const signature = { signatureUrl: url(`${basename(image.path)}.minisig`), keyNames: ['alice'] }
    const view = await deploy({ ...raw(), ...signature })
    assert.deepEqual([view.state, view.error?.code, view.disk], ['error', 'TRUST', 'untouched'])
    assert.match(view.error?.cause ?? '', /which is not among the keys given: none is minisign's\./)
    const status = await lab.client.call('GET', `/dedicated/server/${server}/bringYourOwnImage`)
    const { status: word, message } = status.body as Record<string, string>
    assert.deepEqual(
      [word, message],
      ['error', 'The image could not be verified by its checksum file or signature.'],
    )
  })

  test('an image that was changed after it was signed does not boot', async () => {
    await rename(image.path, at('signed.raw'))
    await writeFile(image.path, await readFile(at('signed.raw')))
    await appendFile(image.path, Buffer.alloc(512))
    const signature = { signatureUrl: url(`${basename(image.path)}.minisig`), keyNames: ['m'] }
    const view = await deploy({ ...raw(), ...signature })
    assert.deepEqual([view.state, view.error?.code, view.disk], ['error', 'TRUST', 'unbootable'])
    assert.ok((await readFile(disk)).subarray(0, 1024 * 1024).equals(Buffer.alloc(1024 * 1024)))
    const sums = await deploy({ ...raw(), checkSumUrl: url('SHA256SUMS') })
    assert.deepEqual([sums.error?.code, sums.disk], ['SUM', 'unbootable'])
    assert.match(sums.error?.message ?? '', new RegExp(`^Bad sha256 .* while expecting ${image.sha256}\\.$`))
  })
})
