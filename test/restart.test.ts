import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { proveDisk } from '../scripts/disk-proof.ts'
import { imageServer, type ImageServer } from '../scripts/image-server.ts'
import { smallImage, type SmallImage } from '../scripts/small-image.ts'
import {
  absent,
  byoiRoute,
  startLab,
  untilEnded,
  untilPhase,
  viewOf,
  waitFor,
  type Lab,
} from './support/lab.ts'

describe('kill -9 in the middle of a deployment', { skip: absent() }, () => {
  let lab: Lab
  let image: SmallImage
  let images: ImageServer

  before(async () => {
    lab = await startLab()
    image = await smallImage(lab.folder, 'small', 16, 'qcow2')
    // Slow enough to be met in the middle: four seconds.
    images = await imageServer([image.path], { rate: image.bytes / 4 })
  })
  after(async () => {
    await images.close()
    await lab.close()
  })

  /** Begins a deployment and waits until half a MiB and more has been written. */
  async function inTheMiddle(server: string): Promise<{ disk: string; epoch: number }> {
    const disk = await lab.addServer(server)
    const body = {
      URL: images.urlOf(image.path),
      type: 'qcow2',
      checkSum: image.sha256,
      checkSumType: 'sha256',
      configdrive: { enable: true, hostname: 'again' },
    }
    const posted = await lab.client.call('POST', byoiRoute(server), body)
    assert.equal(posted.status, 200, posted.text)
    const view = await waitFor(`${server} to write`, async () => {
      const now = await viewOf(lab.client, server)
      assert.notEqual(now?.state, 'error', JSON.stringify(now?.error))
      return now !== undefined && now.phase === 'write' && now.bytesDone > 0 ? now : undefined
    })
    return { disk, epoch: view.epoch }
  }

  async function assertDone(server: string, disk: string): Promise<number> {
    const view = await untilEnded(lab.client, server, 90_000)
    assert.equal(view.state, 'done', JSON.stringify(view.error ?? view.hold))
    const proofs = await proveDisk(disk, image.path, 'qcow2', lab.folder)
    assert.deepEqual(
      proofs.filter((each) => each.result !== 'holds'),
      [],
    )
    return view.epoch
  }

  test('the control plane is killed and started again: the same agent ends the deployment', async () => {
    const server = 'control.example.test'
    const { disk, epoch } = await inTheMiddle(server)
    const agents = lab.control.agentPids()
    assert.equal(agents.length, 1)
    await lab.control.kill()
    await lab.control.start()
    assert.deepEqual(lab.control.agentPids(), agents)
    assert.equal(await assertDone(server, disk), epoch)
  })

  test('the agent is killed: a new one with a higher epoch ends the deployment', async () => {
    const server = 'agent.example.test'
    const { disk, epoch } = await inTheMiddle(server)
    for (const pid of lab.control.agentPids()) process.kill(pid, 'SIGKILL')
    assert.ok((await assertDone(server, disk)) > epoch)
  })

  test('the database is killed: it comes back by itself and nothing is lost', async () => {
    const server = 'database.example.test'
    const { disk } = await inTheMiddle(server)
    const before = lab.control.databasePids()
    assert.equal(before.length, 1)
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await assertDone(server, disk)
    assert.notDeepEqual(lab.control.databasePids(), before)
    assert.equal(lab.control.crashes, 0)
  })

  test('the control plane is killed while it waits for the agent', async () => {
    const server = 'early.example.test'
    const disk = await lab.addServer(server)
    const body = { URL: images.urlOf(image.path), type: 'qcow2' }
    assert.equal((await lab.client.call('POST', byoiRoute(server), body)).status, 200)
    await lab.control.kill()
    await lab.control.start()
    await untilPhase(lab.client, server, ['write', 'verify', 'publish', 'boot-from-disk', 'reset', 'close'])
    await assertDone(server, disk)
  })
})
