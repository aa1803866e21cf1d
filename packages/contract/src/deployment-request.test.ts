import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadParameter } from './bad-parameter.ts'
import { parseByoiRequest } from './byoi-request.ts'
import { parseDeploymentRequest } from './deployment-request.ts'

const image = { URL: 'https://images.example.test/a.raw?token=canary', type: 'raw' }
const sums = { checkSumUrl: 'https://images.example.test/SHA256SUMS?token=canary' }
const signature = { signatureUrl: 'https://images.example.test/SHA256SUMS.sig?token=canary' }
const keyNames = ['release-2026', 'spare']
const given = { checkSum: 'ab'.repeat(32), checkSumType: 'sha256' }

const refused = (value: unknown, field: string) => {
  for (const parse of [parseDeploymentRequest, parseByoiRequest]) {
    assert.throws(
      () => parse(value),
      (error) =>
        error instanceof BadParameter &&
        (parse === parseByoiRequest || error.field.startsWith(field)) &&
        !`${error.message}${error.reason}${error.remedy}`.includes('canary'),
    )
  }
}

test("what OVHcloud's call takes is taken, with nothing to verify by but the checksum", () => {
  const body = { ...image, ...given, description: 'd', diskGroupId: 2, hostname: 'h' }
  assert.deepEqual(parseDeploymentRequest(body), parseByoiRequest(body))
  const { sums: none, signature: nobody, keyNames: names } = parseByoiRequest(body)
  assert.deepEqual([none, nobody, names], [null, null, []])
})

test('the last partition grows only where that is asked for by our own call', () => {
  const grows = (body: object) => parseDeploymentRequest({ ...image, ...body }).growLastPartition
  assert.deepEqual([grows({}), grows({ growLastPartition: true })], [false, true])
  assert.equal(parseByoiRequest(image).growLastPartition, false)
  refused({ ...image, growLastPartition: 'yes' }, 'growLastPartition')
})

test('disks are named by our own call, instead of a disk group', () => {
  assert.deepEqual(parseDeploymentRequest({ ...image, disks: ['S1', 'naa.5000'] }).disks, ['S1', 'naa.5000'])
  assert.deepEqual(parseDeploymentRequest({ ...image, diskGroupId: 1 }).disks, [])
  for (const disks of [[], ['S1', 'S1'], [''], ['S\n1'], ['x'.repeat(129)], 'S1', [1], 'abcdefghi'.split('')])
    refused({ ...image, disks }, 'disks')
  refused({ ...image, disks: ['S1'], diskGroupId: 1 }, 'disks')
})

test('a bare VMDK is taken, other types are not', () => {
  assert.equal(parseDeploymentRequest({ ...image, type: 'vmdk' }).type, 'vmdk')
  assert.throws(() => parseByoiRequest({ ...image, type: 'vmdk' }), /Bad format image/)
  assert.throws(() => parseDeploymentRequest({ ...image, type: 'iso' }), /Bad format image/)
})

test('a checksum file and a signature are taken, their queries secret', () => {
  const request = parseDeploymentRequest({ ...image, ...sums, checkSumName: 'b.raw', ...signature, keyNames })
  assert.equal(request.sums?.url.reveal(), sums.checkSumUrl)
  assert.equal(request.sums.name, 'b.raw')
  assert.equal(request.signature?.url.reveal(), signature.signatureUrl)
  assert.deepEqual([request.signature.of, request.keyNames], ['sums', keyNames])
  assert.ok(!JSON.stringify(request).includes('canary'))
})

test('what is signed is the checksum file where there is one, unless the image is named', () => {
  const of = (body: object) =>
    parseDeploymentRequest({ ...image, ...signature, keyNames, ...body }).signature?.of
  assert.deepEqual([of({}), of(sums), of({ ...sums, signatureOf: 'image' })], ['image', 'sums', 'image'])
  assert.deepEqual(parseDeploymentRequest({ ...image, ...sums, keyNames }).keyNames, keyNames)
  assert.equal(parseDeploymentRequest({ ...image, ...given, ...signature, keyNames }).signature?.of, 'image')
})

for (const [what, body, field] of [
  ['a checksum and a checksum file', { ...given, ...sums }, 'checkSumUrl'],
  ['a name without a file', { checkSumName: 'a' }, 'checkSumName'],
  ['an empty name', { ...sums, checkSumName: '' }, 'checkSumName'],
  ['a name with a line end', { ...sums, checkSumName: 'a\nb' }, 'checkSumName'],
  ['a signature without a key', signature, 'keyNames'],
  ['a signature with no key at all', { ...signature, keyNames: [] }, 'keyNames'],
  ['a key without anything signed', { keyNames }, 'keyNames'],
  ['a key twice', { ...sums, keyNames: ['a', 'a'] }, 'keyNames'],
  ['nine keys', { ...sums, keyNames: 'abcdefghi'.split('') }, 'keyNames'],
  ['a key by its text', { ...sums, keyNames: ['RWQcanary+/='] }, 'keyNames'],
  ['a word without a signature', { ...sums, signatureOf: 'sums' }, 'signatureOf'],
  ['a signature of no file', { ...signature, keyNames, signatureOf: 'sums' }, 'signatureOf'],
  ['a signature of something else', { ...signature, keyNames, signatureOf: 'disk' }, 'signatureOf'],
  ['a file URL', { checkSumUrl: 'file:///etc/canary' }, 'checkSumUrl'],
  ['a password in a URL', { checkSumUrl: 'https://a:canary@h/S' }, 'checkSumUrl'],
  ['a port that is denied', { ...signature, keyNames, signatureUrl: 'http://h:22/canary' }, 'signatureUrl'],
  ['null', { checkSumUrl: null }, 'checkSumUrl'],
  ['a member of another case', { checksumUrl: sums.checkSumUrl }, 'checksumUrl'],
] as const) {
  test(`${what} is refused by its name`, () => refused({ ...image, ...body }, field))
}
