import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { errorCodes, errorMessage, phaseNumber, phases } from '@byoi/contract'

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8')
const facts = { url: 'URL', checkSumType: 'TYPE', got: 'X', expected: 'Y', imageType: 'qcow2' }

test('docs/errors.md lists the codes of the catalogue, in its order, with their sentences', async () => {
  const rows = (await read('docs/errors.md')).matchAll(/^\| `([A-Z]+)` \| `([^`]+)`/gm)
  assert.deepEqual(
    Array.from(rows, ([, code, message]) => [code, message]),
    errorCodes.map((code) => [code, errorMessage(code, facts)]),
  )
})

test('ARCHITECTURE.md lists every phase with its number', async () => {
  const rows = (await read('ARCHITECTURE.md')).matchAll(/^\| P(\d+) \| ([a-z-]+) \|/gm)
  assert.deepEqual(
    Array.from(rows, ([, number, name]) => [Number(number), name]),
    phases.map((phase) => [phaseNumber(phase), phase]),
  )
})

test('every relative link in the documents leads to a file', async () => {
  for (const page of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md']) {
    for (const [, target = ''] of (await read(page)).matchAll(/\]\(((?!https?:)[^)#]+)\)/g)) {
      await assert.doesNotReject(
        target.endsWith('.md') || /LICENSE|NOTICE/.test(target) ? read(target) : readDir(target),
        `${page} links to ${target}`,
      )
    }
  }
})

async function readDir(path: string): Promise<void> {
  const { readdir } = await import('node:fs/promises')
  await readdir(new URL(`../${path}`, import.meta.url))
}
