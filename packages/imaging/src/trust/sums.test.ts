import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { lacks, run, scratch } from '../deploy-image.fixture.ts'
import { ImagingError } from '../error.ts'
import { findSum } from './sums.ts'

const types = ['md5', 'sha1', 'sha256', 'sha512'] as const
const names = ['image.qcow2', 'with blank.raw', 'ünïcode (1).img', 'back\\slash', 'line\nend', '\\n', 'a = b']

const digest = (type: string, text: string) => createHash(type).update(text).digest('hex')

const refused = (list: string, name: string, says: RegExp) =>
  assert.throws(
    () => findSum(list, name, 'SHA256SUMS'),
    (error) => error instanceof ImagingError && error.code === 'TRUST' && says.test(error.cause),
  )

for (const type of types) {
  const tool = `${type}sum`
  test(`what ${tool} writes is read, with every option and of every name`, {
    skip: lacks(tool),
  }, async () => {
    await using folder = await scratch()
    for (const name of names) await writeFile(join(folder.path, name), name)
    for (const option of ['--text', '--binary', '--tag']) {
      const list = (await run(tool, [option, '--', ...names], { cwd: folder.path })).stdout
      for (const name of names) {
        assert.deepEqual(findSum(list, name, ''), { type, value: digest(type, name) }, `${option} ${name}`)
        assert.deepEqual(findSum(list.replaceAll('\n', '\r\n'), name, '').value, digest(type, name))
      }
      refused(list, 'image.qcow', /holds 7 checksums, but none of a file named "image.qcow"/)
    }
    const dotted = (await run(tool, ['./image.qcow2'], { cwd: folder.path })).stdout
    assert.equal(findSum(dotted, 'image.qcow2', '').value, digest(type, 'image.qcow2'))
  })

  test(`a file with nothing but one ${type} is read for any name`, () => {
    const value = digest(type, 'x')
    for (const list of [value, `${value}\n`, `  ${value.toUpperCase()}\r\n`])
      assert.deepEqual(findSum(list, 'whatever', ''), { type, value })
  })
}

const one = digest('sha256', 'one')
const two = digest('sha256', 'two')

test('of several kinds of digest the strongest is taken', () => {
  const list = types.map((type) => `${type.toUpperCase()} (a) = ${digest(type, 'a')}`)
  for (let count = 1; count <= types.length; count++)
    assert.equal(findSum(list.slice(0, count).toReversed().join('\n'), 'a', '').type, types[count - 1])
})

test('the same digest twice is one, and two that differ are none', () => {
  assert.equal(findSum(`${one}  a\n${one.toUpperCase()} *a\n`, 'a', '').value, one)
  refused(`${one}  a\n${two} *a\n`, 'a', /different checksums for "a"/)
  refused(`${one}  a\nSHA256 (a) = ${two}\n`, 'a', /different checksums/)
  assert.equal(findSum(`${one}  a\n${two}  b\n`, 'b', '').value, two)
})

for (const [what, list] of [
  ['nothing', ''],
  ['a page of HTML', '<html><body>404</body></html>'],
  ['a digest of a wrong length', `${one.slice(1)}  a`],
  ['a digest with other letters', `${one.slice(1)}g  a`],
  ['one blank between', `${one} a`],
  ['a BSD line whose digest is of another type', `SHA512 (a) = ${one}`],
  ['a BSD line of an unknown type', `BLAKE2b (a) = ${digest('sha512', 'a')}`],
  ['an escape that there is none of', `\\${one}  a\\t`],
  ['a blank in front', ` ${one}  a`],
  ['two digests without a name', `${one}\n${two}`],
] as const) {
  test(`${what} lists nothing`, () => refused(list, 'a', /holds no checksums at all/))
}

test('lines of other kinds are left aside', () => {
  const list = `# a: 5 bytes\n\n${one}  a\n-- signed\nSHA256 (b) = ${two}\n`
  assert.equal(findSum(list, 'a', '').value, one)
  assert.equal(findSum(list, 'b', '').value, two)
})
