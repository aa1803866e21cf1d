import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { byoi, keys } from './api.fixture.ts'
import { printOvhConf } from './ovh-conf.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-cli-'))
after(() => rmSync(directory, { recursive: true }))

const name = 'ns1.example.test'
const none = join(directory, 'none.img')
const toNone = ['--type', 'raw', '--to', none]

function file(fileName: string, content: unknown): string {
  const path = join(directory, fileName)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}
file('operator.json', '{canary')

const wrongUsage: { what: string; args: string[]; says: RegExp }[] = [
  { what: 'write without a target', args: ['write', 'a', '--type', 'raw'], says: /'--to/ },
  { what: 'write without a type', args: ['write', 'a', '--to', none], says: /'--type/ },
  { what: 'write of two images', args: ['write', 'a', 'b', ...toNone], says: /too many arguments/ },
  {
    what: 'a digest of the wrong length',
    args: ['write', 'a', ...toNone, '--checksum', 'md5:00'],
    says: /32/,
  },
  { what: 'a size of zero', args: ['write', 'a', ...toNone, '--size', '0'], says: /is no size/ },
  { what: 'sectors of 513 bytes', args: ['write', 'a', ...toNone, '--sector-size', '513'], says: /513/ },
  { what: 'an ftp URL', args: ['write', 'ftp://a/b', ...toNone], says: /not ftp URLs/ },
  { what: 'a header without a colon', args: ['write', 'a', ...toNone, '--header', 'canary'], says: /header/ },
  { what: 'a boot mode of its own', args: ['inspect', 'a', '--boot', 'bios'], says: /bios/ },
  { what: 'a bus of its own', args: ['inspect', 'a', '--bus', 'pata'], says: /pata/ },
  { what: 'an unknown option', args: ['inspect', 'a', '--fast'], says: /--fast/ },
  {
    what: 'a server without a disk',
    args: ['server', 'add', name, '--bmc', 'local', '--boot', 'uefi'],
    says: /'--disk/,
  },
  { what: 'no command', args: [], says: /^Usage: byoi/ },
  { what: 'an unknown command', args: ['destroy'], says: /unknown command 'destroy'/ },
  { what: 'no key at all', args: ['status', name], says: /There is no key/ },
  { what: 'an ovh.conf that is not there', args: ['status', name, '--conf', '/none'], says: /ENOENT/ },
  {
    what: 'an unfinished ovh.conf',
    args: ['status', name, '--conf', file('bad.conf', '[default]\n')],
    says: /three keys/,
  },
  { what: 'a data directory without a key', args: ['key', 'list', '--data', '/none'], says: /has byoi up/ },
  {
    what: 'an operator.json that is no JSON',
    args: ['key', 'list', '--data', directory],
    says: /is no operator's key/,
  },
  {
    what: 'an endpoint that is no URL',
    args: [
      'key',
      'list',
      '--url',
      'x',
      '--conf',
      file('a.conf', printOvhConf({ endpoint: 'http://a', ...keys })),
    ],
    says: /no http or https URL/,
  },
  { what: 'a rule without a method', args: ['key', 'create', '--rule', '/me'], says: /is no rule/ },
  { what: 'a rule beside --all', args: ['key', 'create', '--all', '--rule', 'GET /me'], says: /either/ },
  {
    what: 'a local file to deploy',
    args: ['deploy', name, '--url', 'a.img', '--type', 'raw'],
    says: /http or https URL/,
  },
  {
    what: 'a config drive with an unknown member',
    args: [
      'deploy',
      name,
      '--url',
      'http://a/',
      '--type',
      'raw',
      '--configdrive',
      file('x.json', { user: 1 }),
    ],
    says: /user/,
  },
  {
    what: 'a config drive that is no JSON',
    args: ['deploy', name, '--url', 'http://a/', '--type', 'raw', '--configdrive', file('y.json', '{canary')],
    says: /is not JSON/,
  },
]
for (const { what, args, says } of wrongUsage) {
  test(`${what} is wrong usage`, async () => {
    const ran = await byoi(args)
    assert.equal(ran.status, 2)
    assert.equal(ran.stdout, '')
    assert.match(ran.stderr, says)
    assert.doesNotMatch(ran.stderr, /canary/)
    assert.equal(existsSync(none), false)
  })
}

test('every command has help with exit status 0', async () => {
  const { status, stdout } = await byoi(['--help'])
  assert.equal(status, 0)
  const commands = [...stdout.matchAll(/^ {2}([a-z]+)(?:\|[a-z]+)? /gm)].map((match) => match[1] ?? '')
  for (const each of ['up', 'write', 'inspect', 'server', 'key', 'deploy', 'status', 'delete', 'hold'])
    assert.ok(commands.includes(each), each)
  // The launcher starts these itself, or they have no help of their own.
  const others = new Set(['up', 'lab', 'ramdisk', 'help'])
  for (const each of commands.filter((it) => !others.has(it))) {
    const ran = await byoi([each, '--help'])
    assert.deepEqual([ran.status, ran.stderr, ran.stdout.startsWith('Usage: byoi ')], [0, '', true])
  }
})
