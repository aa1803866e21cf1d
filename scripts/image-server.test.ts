import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { askedRange, imageServer } from './image-server.ts'

describe('A Range header (RFC 9110, section 14.1.2)', () => {
  const cases = [
    { header: undefined, range: undefined },
    { header: 'bytes=0-9', range: [0, 9] },
    { header: 'bytes=90-', range: [90, 99] },
    { header: 'bytes=-10', range: [90, 99] },
    { header: 'bytes=-1000', range: [0, 99] },
    { header: 'bytes=95-1000', range: [95, 99] },
    { header: 'bytes=100-', range: null },
    { header: 'bytes=-', range: undefined },
    { header: 'bytes=0-1,3-4', range: undefined },
    { header: 'lines=0-1', range: undefined },
  ]
  for (const { header, range } of cases) {
    test(`${header ?? 'none'} of 100 bytes asks for ${JSON.stringify(range) ?? 'all'}`, () => {
      assert.deepEqual(askedRange(header, 100), range)
    })
  }
})

describe('The image server', () => {
  const content = Buffer.from('0123456789'.repeat(10))
  let folder: string
  let path: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'byoi-image-server-'))
    path = join(folder, 'a b.raw')
    await writeFile(path, content)
  })
  after(() => rm(folder, { recursive: true }))

  const cases = [
    { name: 'the whole file', options: {}, headers: {}, status: 200, text: content.toString() },
    { name: 'a range', options: {}, headers: { Range: 'bytes=3-6' }, status: 206, text: '3456' },
    {
      name: 'the whole file to a range of another version',
      options: {},
      headers: { Range: 'bytes=3-6', 'If-Range': '"old"' },
      status: 200,
      text: content.toString(),
    },
    {
      name: 'the whole file where ranges are off',
      options: { ranges: false },
      headers: { Range: 'bytes=3-6' },
      status: 200,
      text: content.toString(),
    },
    { name: 'no range beyond the end', options: {}, headers: { Range: 'bytes=100-' }, status: 416, text: '' },
  ]
  for (const { name, options, headers, status, text } of cases) {
    test(`gives ${name}`, async () => {
      const server = await imageServer([path], options)
      try {
        const answer = await fetch(server.urlOf(path), { headers })
        assert.equal(answer.status, status)
        assert.equal(await answer.text(), text)
      } finally {
        await server.close()
      }
    })
  }

  test('cuts the connection where it is told to', async () => {
    const server = await imageServer([path], { cutAfter: 40 })
    try {
      const answer = await fetch(server.urlOf(path))
      assert.equal(answer.headers.get('content-length'), '100')
      await assert.rejects(answer.text())
    } finally {
      await server.close()
    }
  })
})
