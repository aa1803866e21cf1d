import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { configDriveToolsAbsent, proveDisk, readConfigDrive } from '../scripts/disk-proof.ts'
import { imageServer, type ImageServer } from '../scripts/image-server.ts'
import { ovhCall, type OvhAnswer } from '../scripts/ovh-call.ts'
import { writeOvhConf } from '../scripts/ovh-conf.ts'
import { command } from '../scripts/run-command.ts'
import { smallImage, type SmallImage } from '../scripts/small-image.ts'
import { absent, byoiRoute, startLab, untilEnded, untilForgotten, viewOf, type Lab } from './support/lab.ts'

const userData = '#cloud-config\nfinal_message: "grüße"\n'
const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@laptop'

const shellTools = { curl: 'curl', sha1sum: 'coreutils' }

describe("The main job, through OVHcloud's unmodified npm client", { skip: absent() }, () => {
  const server = 'ns1.example.test'
  let lab: Lab
  let disk: string
  let image: SmallImage
  let images: ImageServer

  const call = (method: string, path: string, body?: unknown): Promise<OvhAnswer> =>
    ovhCall(lab.control.url, lab.control.caPath, { key: lab.key, method, path, body })

  before(async () => {
    lab = await startLab()
    disk = await lab.addServer(server)
    image = await smallImage(lab.folder, 'small', 16, 'qcow2')
    images = await imageServer([image.path])
  })
  after(async () => {
    await images.close()
    await lab.close()
  })

  test('a server that was never deployed has no status', async () => {
    const answer = await call('GET', byoiRoute(server))
    assert.equal(answer.ok, false)
    assert.equal(!answer.ok && answer.status, 404)
  })

  test('POST deploys the image, and GET says doing, then done with the checksum', async () => {
    const posted = await call('POST', byoiRoute(server), {
      URL: images.urlOf(image.path),
      type: 'qcow2',
      checkSum: image.sha256,
      checkSumType: 'sha256',
      description: 'main job',
      configdrive: {
        enable: true,
        hostname: 'main-job',
        sshKey,
        userData,
        userMetadatas: [{ key: 'role', value: 'web' }],
      },
    })
    assert.deepEqual(posted, { ok: true, body: null })
    const view = await untilEnded(lab.client, server)
    assert.equal(view.state, 'done', JSON.stringify(view.error ?? view.hold))
    const answer = await call('GET', byoiRoute(server))
    assert.ok(answer.ok)
    const { message, ...status } = answer.body as Record<string, unknown>
    assert.equal(typeof message, 'string')
    assert.deepEqual(status, { status: 'done', checksum: image.sha256, servername: server })
  })

  test('signed-curl makes the same call by hand', { skip: absent(shellTools) }, async () => {
    const conf = await writeOvhConf(lab.folder, lab.control.url, lab.key)
    const tool = join(import.meta.dirname, '..', 'scripts', 'signed-curl')
    const call = (...words: string[]): Promise<Buffer> =>
      command('sh', [tool, '--conf', conf, '--cacert', lab.control.caPath, ...words])
    const status = JSON.parse((await call('GET', byoiRoute(server))).toString()) as { status: string }
    assert.equal(status.status, 'done')
    const body = '{"URL":"a \\"quoted\\" text","type":"qcow2"}'
    const refused = JSON.parse((await call('POST', byoiRoute(server), body)).toString()) as {
      message: string
    }
    // The signature was right: what is refused is the URL.
    assert.match(refused.message, /URL/)
  })

  test('the disk holds the image byte for byte, with valid tables', async () => {
    const proofs = await proveDisk(disk, image.path, 'qcow2', lab.folder)
    assert.deepEqual(
      proofs.filter((each) => each.result !== 'holds'),
      [],
    )
    assert.equal(proofs.length, 3)
  })

  test("cloud-init's own reader finds what was asked for", async (t) => {
    const missing = configDriveToolsAbsent()
    if (missing.length > 0) {
      t.skip(`absent: ${missing.join(', ')}`)
      return
    }
    const { metadata, userData: found } = await readConfigDrive(disk)
    assert.equal(metadata['hostname'], 'main-job')
    assert.deepEqual(Object.values(metadata['public_keys'] as object), [sshKey])
    assert.deepEqual(metadata['meta'], { role: 'web' })
    assert.equal(found?.toString(), userData)
  })

  test('DELETE forgets the deployment and puts the server into rescue', async () => {
    const deployed = await viewOf(lab.client, server)
    assert.deepEqual(lab.control.agentPids(), [])
    assert.deepEqual(await call('DELETE', byoiRoute(server)), { ok: true, body: null })
    await untilForgotten(lab.client, deployed?.id ?? '')
    const answer = await call('GET', byoiRoute(server))
    assert.equal(!answer.ok && answer.status, 404)
    // The rescue system is the agent in another role; of a file-backed server it is a process.
    assert.equal(lab.control.agentPids().length, 1)
  })
})
