import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFile, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { content, failure, KeepingSink, open } from './testing/fetching.ts'

let folder = ''
let path = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'file-source-'))
})
after(() => rm(folder, { recursive: true }))

const openFile = async (name: string, bytes: Buffer) => {
  path = join(folder, name)
  await writeFile(path, bytes)
  return open(path, { file: true })
}

test('A local file is streamed and read in ranges, unchanged.', async () => {
  const source = await openFile('image', content)
  assert.deepEqual(
    { size: source.size, ranged: source.ranged, shown: source.shownUrl },
    { size: content.length, ranged: true, shown: path },
  )
  const sink = new KeepingSink()
  assert.equal(await source.stream(sink), content.length)
  assert.ok(sink.bytes.equals(content))
  const part = Buffer.alloc(1000)
  await source.readAt(content.length - 1000, part)
  assert.ok(part.equals(content.subarray(-1000)))
  await assert.rejects(source.readAt(content.length - 999, part), RangeError)
  await assert.rejects(source.readAt(-1, part), RangeError)
  await source.close()
})

for (const [what, change] of [
  ['grows', () => appendFile(path, 'x')],
  ['shrinks', () => truncate(path, 5)],
  ['is written to', () => writeFile(path, content)],
] as const) {
  test(`A file that ${what} while it is read is an error.`, async () => {
    const source = await openFile('changing', content)
    const sink = new KeepingSink()
    let changed = false
    const slow = {
      commit: (length: number) => sink.commit(length),
      reserve: async () => {
        if (!changed) await change()
        changed = true
        return sink.reserve()
      },
    }
    const error = await failure(source.stream(slow))
    assert.deepEqual([error.code, error.startAgain], ['DOWNLOAD', true])
    assert.match(error.cause, /changed while/)
    await source.close()
  })
}

test('What is no readable image file is refused by name.', async () => {
  await writeFile(join(folder, 'empty'), '')
  await symlink('circle', join(folder, 'circle'))
  execFileSync('mkfifo', ['--', join(folder, 'fifo')])
  const cases: [string, RegExp][] = [
    ['', /is a directory/],
    ['missing', /does not exist/],
    ['empty', /is empty/],
    ['fifo', /neither a file nor a block device/],
    ['circle', /circle/],
  ]
  for (const [name, why] of cases) {
    const error = await failure(open(join(folder, name), { file: true }))
    assert.equal(error.code, 'DOWNLOAD')
    assert.match(error.cause, why)
  }
  assert.match((await failure(open('/dev/zero', { file: true }))).cause, /neither a file/)
})

test('A stream from a file stops on request.', async () => {
  const stop = new AbortController()
  path = join(folder, 'stopped')
  await writeFile(path, content)
  const source = await open(path, { file: true, signal: stop.signal })
  const sink = new KeepingSink()
  const stopping = {
    reserve: () => sink.reserve(),
    commit: (length: number) => {
      sink.commit(length)
      stop.abort()
    },
  }
  assert.equal((await failure(source.stream(stopping))).code, 'CANCELLED')
  await source.close()
})
