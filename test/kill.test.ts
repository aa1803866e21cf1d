import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { tryCommand } from '../scripts/run-command.ts'
import { absent } from './support/lab.ts'

const script = join(import.meta.dirname, '..', 'scripts', 'kill.ts')

test('six kills among four deployments: all end as they must, and no answer lies', {
  skip: absent(),
}, async () => {
  const args = ['--kills', '6', '--deployments', '4', '--servers', '2', '--seed', '7']
  const { status, stdout, stderr } = await tryCommand(process.execPath, [script, ...args])
  assert.equal(status, 0, `${stdout.toString()}${stderr}`)
  assert.match(stdout.toString(), /^kills: [6-9] /m)
  assert.match(stdout.toString(), /^0 faults$/m)
})
