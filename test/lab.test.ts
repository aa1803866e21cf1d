import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { labTools } from '../scripts/lab/tools.ts'
import { byoi } from '../scripts/lab/virtual-lab.ts'
import { tryCommand } from '../scripts/run-command.ts'
import { absent } from './support/lab.ts'

interface Status {
  control: { running: boolean }
  servers: { plan: { name: string; folder: string }; bmc: string; machine: { power: string } | null }[]
}

/** Command lines of the processes that name something in the folder. */
const commandLines = (folder: string): string[] =>
  globSync('/proc/[0-9]*/cmdline')
    .map((path) => {
      try {
        return readFileSync(path, 'utf8').replaceAll('\0', ' ')
      } catch {
        // It has ended meanwhile.
        return ''
      }
    })
    .filter((line) => line.includes(folder))

describe('A lab', { skip: absent(await labTools()) }, () => {
  let folder: string
  let lab: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'byoi-lab-'))
    await chmod(folder, 0o711)
    lab = join(folder, 'lab')
    await mkdir(join(folder, 'ramdisk'))
  })
  after(async () => {
    await tryCommand(byoi, ['lab', 'down', '--data', lab])
    await rm(folder, { recursive: true, force: true })
  })

  const run = async (command: string, ...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await tryCommand(byoi, ['lab', command, '--data', lab, ...args])
    assert.equal(status, 0, stderr)
    return stdout.toString()
  }
  const status = async (): Promise<Status> => JSON.parse(await run('status', '--json')) as Status

  test('is begun by one call and gets more servers by another', async () => {
    // Nothing is booted here, so there is nothing to boot.
    await run('up', '--ramdisk', join(folder, 'ramdisk'))
    assert.match(await run('up', '--boot', 'legacy', '--bmc', 'ipmi'), /ns2\.lab\.test/)
    const { control, servers } = await status()
    assert.ok(commandLines(folder).some((line) => line.includes('ipmi_sim')))
    assert.equal(control.running, true)
    assert.deepEqual(
      servers.map(({ plan, bmc, machine }) => [plan.name, bmc, machine?.power]),
      [
        ['ns1.lab.test', 'redfish', 'off'],
        ['ns2.lab.test', 'ipmi', 'off'],
      ],
    )
  })

  for (const name of ['ns1.lab.test', 'ns2.lab.test']) {
    test(`has in ${name} a server whose BMC the control plane can call`, async () => {
      const check = ['server', 'check', name, '--json', '--data', join(lab, 'control')]
      const { stdout } = await tryCommand(byoi, check)
      const { power, identity } = JSON.parse(stdout.toString()) as { power: string; identity: unknown }
      assert.equal(power, 'off')
      assert.notEqual(identity, null)
    })
  }

  test('tells no password', async () => {
    assert.doesNotMatch(await run('status', '--json'), /password/)
  })

  test('leaves nothing when it is taken down', async () => {
    await run('down')
    assert.deepEqual(await readdir(folder), ['ramdisk'])
    assert.deepEqual(commandLines(folder), [])
    assert.match((await tryCommand(byoi, ['lab', 'status', '--data', lab])).stderr, /There is no lab/)
  })
})
