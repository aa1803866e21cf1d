import assert from 'node:assert/strict'
import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import { afterEach, mock, test } from 'node:test'
import { content, failure, fetchAll, loopback, MIB } from './testing/fetching.ts'
import { fileHandler, scriptedServer } from './testing/scripted-server.ts'

/** Each look-up gives the next set of addresses, the last one for ever. An empty set is a resolver that fails. */
function resolverSays(...sets: string[][]): { lookups: number } {
  const seen = { lookups: 0 }
  const lookup = () => {
    const addresses = sets[Math.min(seen.lookups++, sets.length - 1)] ?? []
    if (addresses.length === 0) return Promise.reject(Object.assign(new Error(), { code: 'EAI_AGAIN' }))
    return Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
  }
  mock.method(dns, 'lookup', lookup)
  syncBuiltinESMExports()
  return seen
}

afterEach(() => {
  mock.restoreAll()
  syncBuiltinESMExports()
})

/** Of this machine's addresses only 127.0.0.1, where the server is. */
const policy = { ...loopback, allow: ['127.0.0.1/32'] }

test('A name that moves to a denied address before a resume is denied there.', async () => {
  for (const how of ['end', 'reset'] as const) {
    await using server = await scriptedServer(fileHandler(content, { cut: { how, at: MIB } }))
    const seen = resolverSays(['127.0.0.1'], ['169.254.169.254'])
    const error = await failure(fetchAll(`http://img.test:${server.port}/x`, { policy }))
    assert.equal(error.code, 'DOWNLOAD')
    assert.match(error.cause, /^img\.test is 169\.254\.169\.254, which is the address of a metadata service/)
    assert.deepEqual([seen.lookups, server.requests.length], [2, 2])
  }
})

test('Every connection costs exactly one look-up: what was judged is what is connected to.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const seen = resolverSays(['127.0.0.1'], ['127.0.0.2'])
  assert.ok((await fetchAll(`http://img.test:${server.port}/x`, { policy })).equals(content))
  assert.deepEqual([seen.lookups, server.connections], [1, 1])
})

test('Of several addresses the denied ones are skipped, and the next one is tried where one refuses.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  resolverSays(['169.254.169.254', '10.0.0.1', '::1', '127.0.0.3', '127.0.0.1'])
  const allow = ['127.0.0.1/32', '127.0.0.3/32']
  assert.ok(
    (await fetchAll(`http://img.test:${server.port}/x`, { policy: { ...loopback, allow } })).equals(content),
  )
})

test('A resolver that fails for a moment is asked again.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  resolverSays([], [], ['127.0.0.1'])
  const lines: string[] = []
  assert.ok(
    (
      await fetchAll(`http://img.test:${server.port}/x`, { policy, onLog: (line) => lines.push(line) })
    ).equals(content),
  )
  assert.match(
    lines.join('\n'),
    /^The name img\.test could not be resolved \(EAI_AGAIN\)\. Trying again in .*\n.*$/,
  )
})
