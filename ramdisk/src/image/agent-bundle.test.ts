import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { bundleAgent, requireBuiltIns } from './agent-bundle.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-bundle-'))
after(() => rmSync(directory, { recursive: true }))

const commandLine = join(import.meta.dirname, '../../../apps/cli/src/main.ts')

describe('A bundle', () => {
  test('runs the image engine with its threads, away from the sources', async () => {
    for (const [name, code] of Object.entries(await bundleAgent(commandLine)))
      writeFileSync(join(directory, name), code)
    const image = join(directory, 'image.raw')
    const disk = join(directory, 'disk.img')
    const data = Buffer.alloc(3 * 1024 * 1024, 'byoi ')
    writeFileSync(image, data)
    const args = ['write', image, '--type', 'raw', '--to', disk, '--size', '8MiB', '--data-disk']
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(directory, 'agent.mjs'), ...args], {
      cwd: directory,
    })
    assert.equal(status, 0, stderr.toString())
    const answer = JSON.parse(stdout.toString().trim().split('\n').at(-1) ?? '') as { checksum: string }
    assert.match(JSON.stringify(answer), new RegExp(createHash('sha256').update(data).digest('hex')))
    assert.ok(readFileSync(disk).subarray(0, data.length).equals(data))
  })

  const skip = spawnSync('gpg', ['--version']).error !== undefined && 'gpg is not installed (Debian: gpg)'
  test('verifies a signature by the library in it', { skip }, async () => {
    for (const [name, code] of Object.entries(await bundleAgent(commandLine)))
      writeFileSync(join(directory, name), code)
    const image = join(directory, 'signed.raw')
    const key = join(directory, 'key.gpg')
    writeFileSync(image, Buffer.alloc(3 * 1024 * 1024, 'byoi '))
    const env = { ...process.env, GNUPGHOME: directory }
    const quiet = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', '']
    for (const args of [
      ['--quick-generate-key', 'alice', 'rsa2048', 'sign', 'never'],
      ['--output', key, '--export', 'alice'],
      ['--output', `${image}.sig`, '--detach-sign', image],
    ])
      assert.equal(spawnSync('gpg', [...quiet, ...args], { env }).status, 0)
    spawnSync('gpgconf', ['--kill', 'all'], { env })
    const target = ['--to', join(directory, 'disk.img'), '--data-disk']
    const signed = ['--signature', `${image}.sig`, '--key', key]
    const bundled = [join(directory, 'agent.mjs'), 'write', image, '--type', 'raw', ...target, ...signed]
    const { status, stdout, stderr } = spawnSync(process.execPath, bundled, { cwd: directory })
    assert.equal(status, 0, stderr.toString())
    assert.match(stdout.toString(), /The image is signed by OpenPGP key/)
  })

  test('is the same each time', async () => {
    assert.deepEqual(await bundleAgent(commandLine), await bundleAgent(commandLine))
  })

  test('is not made of an agent that is not there', async () => {
    await assert.rejects(bundleAgent('/none/main.ts'), /no agent to put into the ramdisk: \/none\/main.ts/)
  })
})

describe("Node's own modules in a bundle", () => {
  const module = 'process.getBuiltinModule("node:fs")'
  const cases = [
    { code: 'import { a, b as c } from "node:fs";', gives: `const { a, b: c } = ${module};` },
    { code: 'import fs from "node:fs";', gives: `const fs = ${module};` },
    { code: 'import * as fs from "node:fs";', gives: `const fs = ${module};` },
    { code: 'import fs, { a } from "node:fs";', gives: `const fs = ${module};\nconst { a } = ${module};` },
    { code: 'import { a } from "fs";', gives: `const { a } = ${module};` },
    { code: 'x("import y");', gives: 'x("import y");' },
  ]
  for (const { code, gives } of cases)
    test(`${code} becomes ${gives}`, () => assert.equal(requireBuiltIns(code), gives))

  for (const code of ['import "node:fs";', 'import { a } from "other";', "import{a}from'node:fs'"])
    test(`${code} is refused`, () => assert.throws(() => requireBuiltIns(code), /unknown way/))
})
