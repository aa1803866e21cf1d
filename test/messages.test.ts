import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type DeploymentView } from '@byoi/contract'
import { imageServer, type ImageServer } from '../scripts/image-server.ts'
import { smallImage, type SmallImage } from '../scripts/small-image.ts'
import { absent, byoiRoute, labTools, startLab, untilEnded, type Lab } from './support/lab.ts'
import { brokenGptImage, failingDisk, noImage, widePackedImage } from './support/odd-images.ts'

const wrongSum = '0'.repeat(64)
const failingDiskTools = {
  nbdkit: 'nbdkit',
  nbdfuse: 'libnbd-bin',
  fusermount3: 'fuse3',
  '/dev/fuse': 'fuse3',
}

describe("OVHcloud's eight messages, each by its real cause", { skip: absent(labTools) }, () => {
  let lab: Lab
  let image: SmallImage
  let raw: SmallImage
  let images: ImageServer
  let servers = 0

  const file = (name: string): string => join(lab.folder, name)

  before(async () => {
    lab = await startLab()
    image = await smallImage(lab.folder, 'small', 16, 'qcow2')
    raw = await smallImage(lab.folder, 'plain', 16, 'raw')
    await noImage(file('notes.txt'))
    await brokenGptImage(raw.path, file('broken-gpt.raw'))
    await widePackedImage(image.path, file('small.qcow2.zst'))
    const odd = ['notes.txt', 'broken-gpt.raw', 'small.qcow2.zst'].map(file)
    images = await imageServer([image.path, raw.path, ...odd])
  })
  after(async () => {
    await images.close()
    await lab.close()
  })

  /** Deploys onto a new server and gives the failed deployment, and what the old route says. */
  async function fail(
    body: Record<string, unknown>,
    sizeMib = 64,
  ): Promise<{ view: DeploymentView; status: { status: string; message: string } }> {
    servers += 1
    const server = `ns${servers}.example.test`
    await lab.addServer(server, sizeMib)
    return await failOn(server, body)
  }

  async function failOn(
    server: string,
    body: Record<string, unknown>,
  ): Promise<{ view: DeploymentView; status: { status: string; message: string } }> {
    const posted = await lab.client.call('POST', byoiRoute(server), body)
    assert.equal(posted.status, 200, posted.text)
    const view = await untilEnded(lab.client, server)
    const status = await lab.client.call('GET', byoiRoute(server))
    return { view, status: status.body as { status: string; message: string } }
  }

  /** The old route shows the sentence; our own route adds what happened and what to change. */
  function assertFailure(
    { view, status }: Awaited<ReturnType<typeof fail>>,
    message: string,
    disk: DeploymentView['disk'],
  ): void {
    assert.equal(view.state, 'error', JSON.stringify(view))
    assert.deepEqual({ status: status.status, message: status.message }, { status: 'error', message })
    assert.ok(view.error)
    assert.equal(view.error.message, message)
    assert.match(view.error.cause, /^\S.*\.$/)
    assert.match(view.error.remedy, /^\S.*\.$/)
    assert.notEqual(view.error.cause, message)
    assert.equal(view.disk, disk)
  }

  test('Could not download image located: the image server answers 404', async () => {
    const url = `${images.url}/absent.qcow2`
    assertFailure(
      await fail({ URL: url, type: 'qcow2' }),
      `Could not download image located: ${url}`,
      'untouched',
    )
  })

  test('Bad format image: the file is text', async () => {
    const failed = await fail({ URL: images.urlOf(file('notes.txt')), type: 'qcow2' })
    assertFailure(failed, 'Bad format image, expected: qcow2, raw.', 'untouched')
  })

  test('Bad format image: a qcow2 file is declared as raw', async () => {
    const failed = await fail({ URL: images.urlOf(image.path), type: 'raw' })
    assertFailure(failed, 'Bad format image, expected: qcow2, raw.', 'untouched')
  })

  test('Bad checksum for downloaded file: the image is another one', async () => {
    const body = { URL: images.urlOf(image.path), type: 'qcow2', checkSum: wrongSum, checkSumType: 'sha256' }
    const message = `Bad sha256 for downloaded file, got: ${image.sha256} while expecting ${wrongSum}.`
    assertFailure(await fail(body), message, 'unbootable')
  })

  test('Bad checkSumType: the type is unknown, and the request changes nothing', async () => {
    servers += 1
    const server = `ns${servers}.example.test`
    await lab.addServer(server)
    const body = { URL: images.urlOf(image.path), type: 'qcow2', checkSum: wrongSum, checkSumType: 'crc32' }
    const refused = await lab.client.call('POST', byoiRoute(server), body)
    assert.equal(refused.status, 400, refused.text)
    const { message } = refused.body as { message: string }
    assert.ok(message.includes('Bad checkSumType, expected: sha1, sha256, md5.'), message)
    assert.equal((await lab.client.call('GET', byoiRoute(server))).status, 404)
  })

  test('Can not move backup GPT: no copy of the partition table can be trusted', async () => {
    const failed = await fail({ URL: images.urlOf(file('broken-gpt.raw')), type: 'raw' })
    assertFailure(failed, 'Can not move backup GPT data structures to the end of disk.', 'untouched')
  })

  test('Could not create configdrive: the disk has no room behind the image', async () => {
    const body = { URL: images.urlOf(raw.path), type: 'raw', configdrive: { enable: true, hostname: 'full' } }
    const failed = await fail(body, 16)
    assertFailure(failed, 'Could not create configdrive on disk.', failed.view.disk)
    assert.notEqual(failed.view.disk, 'complete')
  })

  test('Image is too big to download in memory: unpacking it takes more than there is', async () => {
    const failed = await fail({ URL: images.urlOf(file('small.qcow2.zst')), type: 'qcow2' })
    const message = 'Could not download, qcow2 image is too big to download in memory.'
    assertFailure(failed, message, 'untouched')
  })

  test("Can't write on disk: every write fails (EIO)", { skip: absent(failingDiskTools) }, async () => {
    const failing = await failingDisk(file('failing'), 64 * 1024 * 1024)
    try {
      const server = 'failing.example.test'
      const size = 64 * 1024 * 1024
      await lab.control.addServer(server, { account: lab.account, disk: failing.disk, size })
      await writeFile(failing.trigger, '')
      const failed = await failOn(server, { URL: images.urlOf(image.path), type: 'qcow2' })
      assertFailure(failed, "Can't write qcow2 on disk.", failed.view.disk)
      assert.notEqual(failed.view.disk, 'complete')
    } finally {
      await failing.close()
    }
  })
})
