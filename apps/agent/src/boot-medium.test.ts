import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { BootMedium } from '@byoi/contract'
import { readBootMedium } from './boot-medium.ts'

const medium: BootMedium = {
  controlUrl: 'https://control.example.test:4443',
  caPem: 'canary-ca',
  server: 'ns1.example.test',
  epoch: 3,
  secret: 'canary-secret',
  time: 1_800_000_000,
  network: null,
}

function written(t: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'byoi-medium-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'medium.json')
  writeFileSync(path, text)
  return path
}

test('a boot medium is read, with fields that this release does not know', async (t) => {
  const later = { ...medium, later: 1 }
  assert.deepEqual(await readBootMedium(written(t, JSON.stringify(later))), later)
})

const network = { ports: [], bond: null, vlan: 5000, mtu: null }
const broken: [title: string, text: string, says: RegExp][] = [
  ['nothing', '', /^The boot medium is empty: it was not the control plane that started this server\.$/],
  ['no JSON', '{"secret":"canary-secret', /^The boot medium is no JSON object\.$/],
  ['null', 'null', /^The boot medium is no JSON object\.$/],
  ['plain HTTP', JSON.stringify({ ...medium, controlUrl: 'http://canary' }), /no https URL\.$/],
  ['no URL', JSON.stringify({ ...medium, controlUrl: 'canary' }), /no https URL\.$/],
  ['a network that is none', JSON.stringify({ ...medium, network }), /^The boot medium has no network\S*,/],
  ...Object.keys(medium).map((field): [string, string, RegExp] => [
    `no ${field}`,
    JSON.stringify({ ...medium, [field]: undefined }),
    new RegExp(`^The boot medium has no ${field}, or a wrong one\\.$`),
  ]),
]

for (const [title, text, says] of broken) {
  test(`a boot medium with ${title} is refused, its content unseen`, async (t) => {
    await assert.rejects(readBootMedium(written(t, text)), (error: Error) => {
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /canary/)
      return true
    })
  })
}
