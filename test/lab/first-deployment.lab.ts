import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { debianImage } from '../../scripts/debian-image.ts'
import { type OwnWords } from '../../scripts/lab/own-words.ts'
import { makeSshKey, ssh, type SshKey } from '../../scripts/lab/ssh.ts'
import { type VirtualServer } from '../../scripts/lab/virtual-lab.ts'
import {
  assertOwnWords,
  assertSecondDiskUntouched,
  deployAndListen,
  fillSecondDisk,
  patience,
  provenRequest,
  Rig,
  sha256,
} from './support.ts'

describe('A UEFI server, called by Redfish and started from the network', () => {
  let rig: Rig
  let server: VirtualServer
  let secondDisk: string
  let key: SshKey
  let words: OwnWords

  before(async () => {
    rig = await Rig.open()
    server = await rig.server('--memory', '768')
    secondDisk = await fillSecondDisk(server)
    key = await makeSshKey(rig.folder)
  })
  after(() => rig.close())

  test('gets an image with a GPT and runs it with all that the request asked for', async () => {
    const { path } = await debianImage({ layout: { table: 'gpt', sectorSize: 512 } })
    const request = provenRequest(await rig.serve(path), await sha256(path), 'node-1', key)
    words = await deployAndListen(server, request)
    assertOwnWords(server, words, {
      hostname: 'node-1',
      key: key.blob,
      table: 'gpt',
      drive: 'iso9660',
      firmware: 'uefi',
      'secure-boot': '0',
    })
    const status = await server.ovh('GET', '/bringYourOwnImage')
    assert.ok(status.ok)
    assert.equal((status.body as { status: string }).status, 'done')
  })

  test('has phoned home', async () => {
    const { by } = await server.watch(
      'word that it booted',
      patience.boot,
      ({ booted }) => booted ?? undefined,
    )
    assert.ok(['phone-home', 'login-prompt'].includes(by))
  })

  test('lets in who has the key, and shows the host key that it told on its console', async () => {
    const told = await server.says(/^ssh-ed25519 \S+ root@node-1$/m, patience.boot)
    assert.equal(await ssh(server, 'debian', key, told, 'hostname'), 'node-1\n')
  })

  test('has its console recorded, from the agent to the login prompt', async () => {
    const { id } = await server.view()
    const { status, text } = await rig.lab.client.call('GET', `/byoi/deployment/${id}/serial`)
    assert.equal(status, 200)
    for (const part of ['byoi: Joined.', 'Linux version', 'node-1 login:', 'byoi-proof end']) {
      assert.ok(text.includes(part), `${part} is not in the recording`)
    }
  })

  test('has its second disk as it was', () => assertSecondDiskUntouched(server, secondDisk))
})
