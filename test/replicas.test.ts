import assert from 'node:assert/strict'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ControlPlane } from '../scripts/control-plane.ts'
import { imageServer, type ImageServer } from '../scripts/image-server.ts'
import { smallImage } from '../scripts/small-image.ts'
import { absent, byoiRoute, labTools, startLab, untilEnded, type Lab } from './support/lab.ts'

describe('Two replicas on one database', { skip: absent(labTools) }, () => {
  const server = 'shared.example.test'
  let lab: Lab
  let second: ControlPlane
  let images: ImageServer

  before(async () => {
    lab = await startLab()
    const database = `postgres://byoi@localhost/postgres?host=${join(lab.control.data, 'postgres', 'run')}`
    second = new ControlPlane({ data: join(lab.folder, 'second'), args: ['--database', database] })
  })
  after(async () => {
    await images?.close()
    await second.stop()
    await lab.close()
  })

  test('a replica with another master key does not start, and says what to copy', async () => {
    await assert.rejects(second.start(), /another master key .* Copy keys\/master\.key/)
  })

  test('with the same key it starts, and of equal POSTs to both exactly one is accepted', async () => {
    for (const name of ['keys', 'tls']) {
      await mkdir(join(second.data, name), { recursive: true })
      await cp(join(lab.control.data, name), join(second.data, name), { recursive: true, force: true })
    }
    await second.start()
    await lab.addServer(server)
    const image = await smallImage(lab.folder, 'small', 16, 'raw')
    images = await imageServer([image.path])
    const body = { URL: images.urlOf(image.path), type: 'raw' }
    const other = second.client(lab.key)
    const answers = await Promise.all(
      [lab.client, other].map((client) => client.call('POST', byoiRoute(server), body)),
    )
    assert.deepEqual(
      answers.map(({ status }) => status).sort((a, b) => a - b),
      [200, 409],
    )
    const views = await Promise.all([lab.client, other].map((client) => untilEnded(client, server)))
    for (const { state, checksum } of views) assert.deepEqual([state, checksum], ['done', image.sha256])
  })

  test('a disk that a server of the one has is refused by the other', async () => {
    const disk = join(lab.folder, `${server}.disk`)
    const adding = second.addServer('thief.example.test', { account: 'alice', disk, size: 64 * 1024 * 1024 })
    await assert.rejects(adding, /is that of server shared\.example\.test/)
  })
})
