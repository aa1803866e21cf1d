import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { environment, keys } from './api.fixture.ts'
import { type ApiOptions, findAccess } from './api-options.ts'
import type { Context } from './context.ts'
import { printOvhConf } from './ovh-conf.ts'

const home = mkdtempSync(join(tmpdir(), 'byoi-cli-'))
after(() => rmSync(home, { recursive: true }))

const conf = join(home, '.ovh.conf')
writeFileSync(conf, printOvhConf({ ...keys, endpoint: 'https://home.test/1.0' }))
const ca = join(home, 'ca.pem')
writeFileSync(ca, 'PEM')
const data = mkdtempSync(join(home, 'data-'))
writeFileSync(
  join(data, 'operator.json'),
  JSON.stringify({ ...keys, endpoint: 'https://data.test/1.0', ca: 'PEM of data' }),
)
const set = environment('https://env.test')

const cases: { what: string; options: ApiOptions; env: Context['env']; endpoint: string; ca?: string }[] = [
  { what: '~/.ovh.conf', options: {}, env: {}, endpoint: 'https://home.test/1.0' },
  { what: 'the environment before a file', options: {}, env: set, endpoint: 'https://env.test/1.0' },
  { what: '--conf before the environment', options: { conf }, env: set, endpoint: 'https://home.test/1.0' },
  {
    what: '--data before the environment, with its authority',
    options: { data },
    env: set,
    endpoint: 'https://data.test/1.0',
    ca: 'PEM of data',
  },
  {
    what: '--endpoint before all that names one',
    options: { endpoint: 'https://given.test:8443/', conf },
    env: { OVH_ENDPOINT: 'https://env.test' },
    endpoint: 'https://given.test:8443/1.0',
  },
  { what: '--ca', options: { data, ca }, env: {}, endpoint: 'https://data.test/1.0', ca: 'PEM' },
]
for (const { what, options, env, endpoint, ca: authority } of cases) {
  test(`the key is found: ${what}`, () => {
    const found = findAccess(options, { env, home } as Context)
    assert.deepEqual(found, { ...keys, endpoint, ca: authority })
  })
}
