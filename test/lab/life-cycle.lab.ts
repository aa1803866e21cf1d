import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { wordImage, type WordImage } from '../../scripts/lab/word-image.ts'
import { makeSshKey, ssh, type SshKey } from '../../scripts/lab/ssh.ts'
import { type VirtualServer } from '../../scripts/lab/virtual-lab.ts'
import { command } from '../../scripts/run-command.ts'
import { assertSecondDiskUntouched, fillSecondDisk, patience, Rig } from './support.ts'

describe('The life of a UEFI server', () => {
  let rig: Rig
  let server: VirtualServer
  let secondDisk: string
  let key: SshKey

  const deploy = async (image: WordImage) =>
    await server.deploy({
      URL: await rig.serve(image.path),
      type: 'qcow2',
      checkSum: image.sha256,
      checkSumType: 'sha256',
    })

  before(async () => {
    rig = await Rig.open()
    server = await rig.server('--memory', '768', '--disk-size', '1GiB')
    secondDisk = await fillSecondDisk(server)
    key = await makeSshKey(rig.folder)
  })
  after(() => rig.close())

  for (const word of ['the first system', 'the second system']) {
    test(`begins with a deployment: ${word} runs`, async () => {
      const from = (await server.serial()).length
      await deploy(await wordImage(rig.folder, word.replaceAll(' ', '-'), word))
      assert.equal((await server.ended(patience.deploy)).state, 'done')
      await server.says(new RegExp(word), patience.word, from)
    })
  }

  test('goes on after an image that cannot be used: the error says why, and the old system starts', async () => {
    const image = await wordImage(rig.folder, 'never', 'never runs')
    const backed = `${rig.folder}/backed.qcow2`
    await command('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image.path, '-F', 'qcow2', backed])
    await server.deploy({ URL: await rig.serve(backed), type: 'qcow2' })
    const { state, error, disk } = await server.ended(patience.deploy)
    assert.deepEqual([state, disk], ['error', 'untouched'])
    assert.equal(error?.code, 'FORMAT')
    assert.match(error.cause, /backing file/)
    const status = await server.ovh('GET', '/bringYourOwnImage')
    assert.ok(status.ok)
    const answer = status.body as { status: string; message: string }
    assert.deepEqual([answer.status, answer.message], ['error', error.message])

    const from = (await server.serial()).length
    await server.ipmi('chassis', 'power', 'on')
    await server.says(/the second system/, patience.word, from)
  })

  test('ends in rescue by DELETE: who has the key gets in, and the disk can be looked at', async () => {
    assert.ok((await server.ovh('PUT', '', { rescueSshKey: key.line })).ok)
    const from = (await server.serial()).length
    assert.ok((await server.ovh('DELETE', '/bringYourOwnImage')).ok)
    const { hostKeys } = await server.inRescue(patience.agent)
    assert.equal(hostKeys.length, 1)
    const printed = await ssh(server, 'root', key, hostKeys[0] ?? '', 'blkid', '/dev/vda2')
    assert.match(printed, /LABEL="ESP"/)
    assert.doesNotMatch((await server.serial()).slice(from), /the second system/)
  })

  test('and has left its second disk as it was', () => assertSecondDiskUntouched(server, secondDisk))
})
