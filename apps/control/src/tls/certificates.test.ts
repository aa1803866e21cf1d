import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readCertificates } from './certificates.ts'

test('the certificate is of an own authority, good for its names, and kept until these change', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-tls-'))
  t.after(async () => await rm(directory, { recursive: true }))
  const first = await readCertificates(directory, ['localhost', '127.0.0.1', '::1'])
  const leaf = new X509Certificate(first.cert)
  const authority = new X509Certificate(first.caPem)
  assert.ok(leaf.verify(authority.publicKey))
  assert.ok(leaf.checkIssued(authority))
  assert.ok(authority.ca)
  assert.ok(!leaf.ca)
  assert.equal(leaf.publicKey.asymmetricKeyType, 'rsa')
  assert.equal(leaf.checkHost('localhost'), 'localhost')
  assert.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1')
  assert.equal(leaf.checkIP('::1'), '::1')
  assert.equal(leaf.checkHost('other.example'), undefined)
  for (const name of ['ca.key', 'server.key']) {
    assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name)
  }
  assert.deepEqual(await readCertificates(directory, ['::1', '127.0.0.1', 'localhost']), first)
  const renewed = await readCertificates(directory, ['byoi.example'])
  assert.equal(renewed.caPem, first.caPem)
  assert.notEqual(renewed.cert, first.cert)
  assert.equal(new X509Certificate(renewed.cert).checkHost('byoi.example'), 'byoi.example')
})
