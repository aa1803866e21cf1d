import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type DeploymentView } from '@byoi/contract'
import { wordImage } from '../../scripts/lab/word-image.ts'
import { type VirtualServer } from '../../scripts/lab/virtual-lab.ts'
import { assertSecondDiskUntouched, fillSecondDisk, patience, Rig } from './support.ts'

describe('A server whose power is cut, with a BIOS, started from its virtual CD', () => {
  let rig: Rig
  let server: VirtualServer
  let secondDisk: string

  before(async () => {
    rig = await Rig.open()
    const boot = ['--boot', 'legacy', '--way', 'virtual-media']
    server = await rig.server(...boot, '--memory', '768', '--disk-size', '1GiB')
    secondDisk = await fillSecondDisk(server)
  })
  after(() => rig.close())

  const moments: { name: string; is: (view: DeploymentView) => boolean; rate?: number }[] = [
    {
      name: 'in the middle of the write',
      is: ({ phase, bytesDone, bytesTotal }) => phase === 'write' && bytesDone > (bytesTotal ?? Infinity) / 3,
      rate: 512 * 1024,
    },
    { name: 'in the publish', is: ({ phase }) => phase === 'publish' },
  ]
  for (const { name, is, rate } of moments) {
    test(`${name} is deployed to all the same`, async () => {
      const word = `cut ${name}`
      const image = await wordImage(rig.folder, name.replaceAll(' ', '-'), word, 8)
      const from = (await server.serial()).length
      await server.deploy({
        URL: await rig.serve(image.path, rate === undefined ? {} : { rate }),
        type: 'qcow2',
        checkSum: image.sha256,
        checkSumType: 'sha256',
      })
      const { epoch } = await server.watch(name, patience.deploy, (view) => {
        assert.equal(view.state, 'open', `${name} was missed: ${view.state}`)
        return is(view) ? view : undefined
      })
      assert.ok(await server.cutPower())
      const view = await server.ended(patience.deploy)
      assert.equal(view.state, 'done', JSON.stringify(view.error ?? view.hold))
      assert.ok(view.epoch > epoch, 'another agent has ended the deployment')
      await server.says(new RegExp(word), patience.word, from)
    })
  }

  test('has its second disk as it was', () => assertSecondDiskUntouched(server, secondDisk))
})
