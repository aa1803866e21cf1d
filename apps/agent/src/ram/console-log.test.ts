import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

test('a line of the console begins with the uptime and holds no control characters', () => {
  const module = JSON.stringify(`${import.meta.dirname}/console-log.ts`)
  const program = `import { logToConsole } from ${module}; logToConsole('a\\x1b[31m\\r\\nb\\x9bc')`
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  assert.match(said, /^\[ *\d+\.\d\d\] byoi: a \[31m b c\n$/)
})
