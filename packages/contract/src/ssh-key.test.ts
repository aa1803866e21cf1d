import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isSshPublicKey } from './ssh-key.ts'

const skip = spawnSync('ssh-keygen', ['-?']).error === undefined ? false : 'ssh-keygen is not installed'
let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'byoi-ssh-'))
})
after(() => rmSync(dir, { recursive: true, force: true }))

/** A public key line as OpenSSH itself writes it. */
function generate(type: string, bits: number): string {
  const file = join(dir, `${type}-${bits}`)
  const size = bits === 0 ? [] : ['-b', String(bits)]
  execFileSync('ssh-keygen', ['-q', '-t', type, ...size, '-N', '', '-C', 'me@laptop', '-f', file])
  return readFileSync(`${file}.pub`, 'utf8').trimEnd()
}

const generated: [type: string, bits: number, ok: boolean][] = [
  ['ed25519', 0, true],
  ['rsa', 2048, true],
  ['rsa', 1024, false],
  ['ecdsa', 256, true],
  ['ecdsa', 384, true],
  ['ecdsa', 521, true],
]
for (const [type, bits, ok] of generated) {
  test(`a key of OpenSSH, ${type} ${bits}, is ${ok ? 'accepted' : 'refused'}`, { skip }, () => {
    assert.equal(isSshPublicKey(generate(type, bits)), ok)
  })
}

const field = (bytes: string | Buffer): Buffer => {
  const content = Buffer.from(bytes)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  return Buffer.concat([length, content])
}
const line = (type: string, ...fields: (string | Buffer)[]): string =>
  `${type} ${Buffer.concat(fields.map(field)).toString('base64')}`
const point = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 7)])
const ed25519 = line('ssh-ed25519', 'ssh-ed25519', Buffer.alloc(32, 1))
const skEcdsa = 'sk-ecdsa-sha2-nistp256@openssh.com'

const made: [name: string, key: string, ok: boolean][] = [
  ['an Ed25519 key', ed25519, true],
  ['a comment with blanks and letters', `${ed25519} Zoë's laptop`, true],
  [
    'an Ed25519 security key',
    line('sk-ssh-ed25519@openssh.com', 'sk-ssh-ed25519@openssh.com', Buffer.alloc(32), 'ssh:'),
    true,
  ],
  ['an ECDSA security key', line(skEcdsa, skEcdsa, 'nistp256', point, 'ssh:'), true],
  ['no blob', 'ssh-ed25519', false],
  ['bad base64', 'ssh-ed25519 AAA*', false],
  ['base64 with loose bits', ed25519.replace(/A?E?B?A?Q?E?B$/, ''), false],
  ['another type inside than outside', ed25519.replace('ssh-ed25519 ', 'ssh-rsa '), false],
  ['a short key', line('ssh-ed25519', 'ssh-ed25519', Buffer.alloc(31)), false],
  ['a field too many', line('ssh-ed25519', 'ssh-ed25519', Buffer.alloc(32), 'x'), false],
  [
    'an RSA key of 1024 bits',
    line('ssh-rsa', 'ssh-rsa', Buffer.from([1, 0, 1]), Buffer.alloc(128, 0x7f)),
    false,
  ],
  [
    'a negative RSA modulus',
    line('ssh-rsa', 'ssh-rsa', Buffer.from([1, 0, 1]), Buffer.alloc(256, 0xff)),
    false,
  ],
  [
    'an ECDSA key of another curve',
    line('ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256', 'nistp384', point),
    false,
  ],
  ['options in front', `command="id" ${ed25519}`, false],
  ['two lines', `${ed25519}\n${ed25519}`, false],
  ['NUL in the comment', `${ed25519} a\0b`, false],
  ['ssh-dss', line('ssh-dss', 'ssh-dss', Buffer.alloc(32)), false],
  ['a certificate', line('ssh-ed25519-cert-v01@openssh.com', 'ssh-ed25519-cert-v01@openssh.com', 'x'), false],
  ['a type named like a method', line('constructor', 'constructor', 'nistp256', point), false],
  ['a private key', '-----BEGIN OPENSSH PRIVATE KEY-----', false],
]
for (const [name, key, ok] of made) {
  test(`${name} is ${ok ? 'accepted' : 'refused'}`, () => assert.equal(isSshPublicKey(key), ok))
}
