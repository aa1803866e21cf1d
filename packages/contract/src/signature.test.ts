import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ovhSignature } from './signature.ts'

const applicationSecret = '0123456789abcdef0123456789abcdef'
const consumerKey = 'fedcba9876543210fedcba9876543210'
const timestamp = '1595318400'
const base = 'https://byoi.example.test/1.0/dedicated/server'

const vectors: [method: string, url: string, body: string, signature: string][] = [
  ['GET', base, '', '$1$39f0c92af7ba1ee213fa3743ae63275039bceddd'],
  [
    'GET',
    'http://127.0.0.1:8080/1.0/dedicated/server/ns1.example.test/task?function=reinstallServer',
    '',
    '$1$48969a104a399e995926f81fe77c058ea6f9920d',
  ],
  [
    'POST',
    `${base}/ns1.example.test/bringYourOwnImage`,
    '{"URL":"https://img.example.test/a.qcow2","type":"qcow2"}',
    '$1$7a0b3cefd89b1b516ffb8b96721195ebd7a61568',
  ],
]
for (const [method, url, body, signature] of vectors) {
  test(`the signature of ${method} ${url} is OVHcloud's, from text and from bytes`, () => {
    const parts = { applicationSecret, consumerKey, method, url, timestamp }
    assert.equal(ovhSignature({ ...parts, body }), signature)
    assert.equal(ovhSignature({ ...parts, body: Buffer.from(body) }), signature)
  })
}
