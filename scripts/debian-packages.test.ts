import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ensureTools, findTool, missingTools } from './debian-packages.ts'

describe('A tool is found', () => {
  const cases = [
    { tool: 'sh', found: true },
    { tool: '/bin/sh', found: true },
    { tool: 'no-such-tool-of-byoi', found: false },
    { tool: '/no/such/file', found: false },
  ]
  for (const { tool, found } of cases) {
    test(`${tool}: ${found ? 'yes' : 'no'}`, () => {
      assert.equal(findTool(tool) !== undefined, found)
    })
  }

  test('also in the directories of administrators that are not on the PATH', () => {
    const path = process.env['PATH']
    process.env['PATH'] = '/nowhere'
    try {
      assert.match(findTool('chroot') ?? '', /sbin\/chroot$/)
    } finally {
      process.env['PATH'] = path
    }
  })
})

test('what is missing is named, in the order asked for', () => {
  const tools = { sh: 'dash', 'no-such-tool': 'nothing', '/no/such/file': 'nothing' }
  assert.deepEqual(missingTools(tools), ['no-such-tool', '/no/such/file'])
})

test('nothing is installed and nothing said when all is there', async (t) => {
  const said = t.mock.method(console, 'error', () => undefined)
  assert.deepEqual(await ensureTools({ sh: 'dash' }, 'for this test'), [])
  assert.equal(said.mock.callCount(), 0)
})
