import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CommanderError } from 'commander'
import { LabError } from './lab-error.ts'
import { makeProgram } from './program.ts'

describe('The command line', () => {
  let folder: string
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'byoi-lab-'))))
  after(() => rm(folder, { recursive: true }))

  const run = async (args: string[], path = process.env['PATH'] ?? ''): Promise<void> => {
    const program = makeProgram({ folder, path, out: () => undefined, progress: () => undefined })
    for (const each of [program, ...program.commands]) {
      each.configureOutput({ writeErr: () => undefined })
    }
    await program.parseAsync(args, { from: 'user' })
  }

  const wrongUsage: { args: string[]; says: RegExp }[] = [
    { args: ['--servers', '0'], says: /above 0/ },
    { args: ['--servers', 'two'], says: /above 0/ },
    { args: ['--disk-size', '8GB'], says: /8GiB/ },
    { args: ['--boot', 'bios'], says: /uefi, legacy/ },
    { args: ['--bmc', 'local'], says: /redfish, ipmi/ },
    { args: ['--secure-boot', '--boot', 'legacy', '--way', 'virtual-media'], says: /--boot uefi/ },
    { args: ['--secure-boot'], says: /--way virtual-media/ },
    { args: ['--bmc', 'ipmi', '--way', 'virtual-media'], says: /--bmc redfish/ },
    { args: ['--bus', 'sata', '--sector-size', '4096'], says: /virtio or nvme/ },
    { args: ['--fast'], says: /--fast/ },
  ]
  for (const { args, says } of wrongUsage) {
    test(`does not take up ${args.join(' ')}`, async () => {
      await assert.rejects(run(['up', ...args]), (error) => {
        assert.ok(error instanceof CommanderError && error.exitCode !== 0)
        assert.match(error.message, says)
        return true
      })
    })
  }

  test('names the packages of what is missing', async () => {
    await assert.rejects(run(['up'], '/nowhere'), (error) => {
      assert.ok(error instanceof LabError)
      assert.match(error.message, /apt-get install .*qemu-system-x86/)
      return true
    })
  })

  test('begins no lab among files of others', async () => {
    await writeFile(join(folder, 'letter.txt'), '')
    await assert.rejects(run(['up']), /move them away|apt-get install/)
  })

  for (const name of ['with blank', 'x'.repeat(100)]) {
    test(`begins no lab in a folder called ${name.slice(0, 12)}`, async () => {
      await assert.rejects(run(['up', '--data', join(folder, name)]), LabError)
    })
  }

  for (const command of ['status', 'down']) {
    test(`${command} says so where there is no lab`, async () => {
      await assert.rejects(run([command]), /There is no lab in/)
    })
  }
})
