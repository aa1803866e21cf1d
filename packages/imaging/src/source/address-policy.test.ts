import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AddressPolicy, judgeAddress } from './address-policy.ts'

const policy: AddressPolicy = { allow: [], deny: [], allowPrivate: true, denyPorts: [] }

const DENIED: [address: string, why: RegExp][] = [
  ['127.0.0.1', /loopback/],
  ['127.255.255.254', /loopback/],
  ['::1', /loopback/],
  ['0:0:0:0:0:0:0:1', /loopback/],
  ['::ffff:127.0.0.1', /loopback.*127\.0\.0\.1/],
  ['::ffff:7f00:1', /loopback/],
  ['64:ff9b::127.0.0.1', /loopback/],
  ['64:ff9b::7f00:1', /loopback/],
  ['2002:7f00:1::', /loopback/],
  ['2002:a9fe:a9fe::1', /metadata/],
  ['64:ff9b:1::1', /reserved/],
  ['::127.0.0.1', /reserved/],
  ['::8.8.8.8', /reserved/],
  ['0.0.0.0', /unspecified/],
  ['0.1.2.3', /unspecified/],
  ['::', /unspecified/],
  ['169.254.169.254', /metadata/],
  ['::ffff:169.254.169.254', /metadata/],
  ['100.100.100.200', /metadata/],
  ['fd00:ec2::254', /metadata/],
  ['169.254.0.1', /link-local/],
  ['fe80::1', /link-local/],
  ['fe80::1%eth0', /link-local/],
  ['febf::1', /link-local/],
  ['224.0.0.1', /multicast/],
  ['239.255.255.255', /multicast/],
  ['ff02::1', /multicast/],
  ['255.255.255.255', /broadcast/],
  ['192.0.2.1', /documentation/],
  ['198.51.100.7', /documentation/],
  ['203.0.113.7', /documentation/],
  ['2001:db8::1', /documentation/],
  ['198.18.0.1', /benchmark/],
  ['198.19.255.255', /benchmark/],
  ['2001:2::1', /benchmark/],
  ['192.88.99.1', /tunnel/],
  ['2001:0:1::1', /tunnel/],
  ['192.0.0.192', /reserved/],
  ['240.0.0.1', /reserved/],
  ['fec0::1', /reserved/],
  ['100::1', /reserved/],
  ['example.test', /not an IP/],
  ['', /not an IP/],
]

for (const [address, why] of DENIED) {
  test(`${address || 'an empty text'} may not be fetched from.`, () => {
    assert.match(judgeAddress(address, policy) ?? 'allowed', why)
  })
}

const FINE = [
  '8.8.8.8',
  '1.1.1.1',
  '223.255.255.255',
  '126.255.255.255',
  '128.0.0.1',
  '2606:4700::1111',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
  '2002:808:808::1',
  '192.0.1.1',
  '169.253.255.255',
  '169.255.0.0',
]

for (const address of FINE) {
  test(`${address} may be fetched from.`, () => assert.equal(judgeAddress(address, policy), null))
}

for (const address of [
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '100.64.0.1',
  'fd12::1',
  '::ffff:10.0.0.1',
  '64:ff9b::a00:1',
]) {
  test(`${address} is private, which is for the policy to allow.`, () => {
    assert.equal(judgeAddress(address, policy), null)
    assert.match(judgeAddress(address, { ...policy, allowPrivate: false }) ?? 'allowed', /private/)
  })
}

const LISTS: [allow: string[], deny: string[], address: string, why: RegExp | null][] = [
  [['127.0.0.0/8'], [], '127.0.0.1', null],
  [['127.0.0.0/8'], [], '::ffff:127.0.0.1', null],
  [['127.0.0.0/8'], [], '169.254.1.1', /link-local/],
  [['127.0.0.0/8'], ['127.0.0.2'], '127.0.0.2', /denied/],
  [['127.0.0.0/8'], ['127.0.0.2/32'], '127.0.0.3', null],
  [['::/0', '0.0.0.0/0'], ['10.0.0.0/8'], '10.1.1.1', /denied/],
  [['0.0.0.0/0'], ['10.0.0.0/8'], '::ffff:10.1.1.1', /denied/],
  [[], ['8.8.8.0/24'], '8.8.8.8', /denied/],
  [[], ['8.8.8.0/24'], '2002:808:808::', /denied/],
  [[], ['2606::/16'], '2606:4700::1', /denied/],
]

for (const [allow, deny, address, why] of LISTS) {
  test(`${address} with allow [${allow.join()}] and deny [${deny.join()}] is ${why ? 'denied' : 'allowed'}.`, () => {
    const reason = judgeAddress(address, { ...policy, allowPrivate: false, allow, deny })
    if (why === null) assert.equal(reason, null)
    else assert.match(reason ?? 'allowed', why)
  })
}

for (const block of ['10.0.0.0/33', '10.0.0/8', '::/129', 'localhost', '10.0.0.0/', '10.0.0.0/-1', '']) {
  test(`The block '${block}' in a policy is an error, not an open door.`, () => {
    assert.throws(() => judgeAddress('8.8.8.8', { ...policy, deny: [block] }), RangeError)
  })
}
