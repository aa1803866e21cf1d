import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { processesOf } from '../scripts/control-plane.ts'
import { tryCommand, type CommandResult } from '../scripts/run-command.ts'
import { smallImage } from '../scripts/small-image.ts'
import { absent } from './support/lab.ts'

const script = join(import.meta.dirname, '..', 'scripts', 'demo.ts')

describe('The demo', { skip: absent() }, () => {
  let folder: string
  let image: string

  const demo = (...args: string[]): Promise<CommandResult> =>
    tryCommand(process.execPath, [script, '--once', '--data', join(folder, 'demo'), ...args])

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'byoi-demo-'))
    await chmod(folder, 0o711)
    image = (await smallImage(folder, 'small', 16, 'qcow2')).path
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('deploys an image, proves it, ends by itself and leaves nothing running', async () => {
    const { status, stdout, stderr } = await demo('--image', image)
    assert.equal(status, 0, `${stdout.toString()}${stderr}`)
    const proofs = stdout.toString().match(/^ +(?:holds|FAILS|not checked) .*$/gm) ?? []
    assert.ok(proofs.length >= 4, stdout.toString())
    assert.ok(!stdout.toString().includes('FAILS'))
    assert.deepEqual(processesOf(folder), [])
  })

  test('shows cause and remedy and fails when the image is another one', async () => {
    const { status, stderr } = await demo('--image', image, '--checksum', `sha256:${'0'.repeat(64)}`)
    assert.equal(status, 1, stderr)
    for (const line of [/^ +message: Bad sha256 /m, /^ +cause: +\S/m, /^ +remedy: +\S/m, /^ +logs: +\S/m]) {
      assert.match(stderr, line)
    }
    assert.deepEqual(processesOf(folder), [])
  })

  const wrong = [
    { args: ['--image', '/does/not/exist.qcow2'], says: /there is no file/ },
    { args: ['--type', 'vdi'], says: /--type must be one of qcow2, raw, ova/ },
    { args: ['--checksum', 'nonsense'], says: /--checksum is TYPE:HEX/ },
    { args: ['--nonsense'], says: /nonsense/ },
  ]
  for (const { args, says } of wrong) {
    test(`refuses ${args.join(' ')} with the usage`, async () => {
      const { status, stderr } = await demo(...args)
      assert.equal(status, 2)
      assert.match(stderr, says)
      assert.match(stderr, /npm run demo/)
    })
  }
})
