import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOvhConf, printOvhConf } from './ovh-conf.ts'

const key = {
  endpoint: 'https://127.0.0.1:8443/1.0',
  applicationKey: 'app',
  applicationSecret: 'secret=with=signs',
  consumerKey: 'consumer',
}

test('what is printed is read back', () => {
  assert.deepEqual(parseOvhConf(printOvhConf(key)), key)
})

test('comments, spaces, Windows line ends and other sections do no harm', () => {
  const text = [
    '; keys',
    '[ovh-eu]',
    'application_key = other',
    '[default]',
    '# which',
    ' endpoint = https://a.test/1.0 ',
    '[https://a.test/1.0]',
    'application_key=a',
    'application_secret = b',
    'consumer_key\t=\tc',
  ].join('\r\n')
  assert.deepEqual(parseOvhConf(text), {
    endpoint: 'https://a.test/1.0',
    applicationKey: 'a',
    applicationSecret: 'b',
    consumerKey: 'c',
  })
})

const incomplete = [
  { what: 'an empty file', text: '' },
  { what: 'no default section', text: '[https://a.test/1.0]\napplication_key=a\n' },
  { what: 'no section of the endpoint', text: '[default]\nendpoint=https://a.test/1.0\n' },
  { what: 'no consumer key', text: printOvhConf(key).replace(/consumer_key.*/, '') },
]
for (const { what, text } of incomplete) {
  test(`${what} gives no key`, () => assert.equal(parseOvhConf(text), undefined))
}
