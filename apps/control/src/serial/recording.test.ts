import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { sql } from 'kysely'
import { maxRowBytes, trimEveryBytes } from './bounds.ts'
import { readTail } from './read-output.ts'
import { pruneRecordings, type Recorded, recordOutput, trimRecording } from './record-output.ts'
import { openSerialBench, type SerialBench, type SerialServer } from './serial.fixture.ts'

const kib = 1024
const mib = 1024 * kib
const settings = { consoleAfterMs: 600_000, consoleKeepMs: 1000 }

/** Four bytes for each position that say which it is, so that a byte in a wrong place shows. */
function numbered(from: number, length: number): Buffer {
  const first = Math.floor(from / 4)
  const words = Buffer.alloc(Math.ceil((from + length) / 4) * 4 - first * 4)
  for (let at = 0; at < words.length; at += 4) words.writeUInt32BE(first + at / 4, at)
  return words.subarray(from - first * 4, from - first * 4 + length)
}

let bench: SerialBench
before(async () => {
  bench = await openSerialBench()
})
after(async () => await bench.close())

/** A deployment that is recorded, on a server that does nothing by itself. */
async function deploymentRow(server: SerialServer, changes: Record<string, unknown> = {}): Promise<string> {
  const id = randomUUID()
  await bench.db
    .insertInto('deployment')
    .values({
      id,
      server_id: server.id,
      service_name: server.name,
      account: 'acme',
      kind: 'deploy',
      state: 'done',
      phase: 'close',
      epoch: 1,
      request: 'null',
      evidence: JSON.stringify({ powerTouched: true, resetOn: 1 }),
      attempts: '{}',
      steps: '[]',
      notes: '[]',
      log: '[]',
      failure: 'null',
      deadline: new Date(),
      ended_at: new Date(),
      ...changes,
    })
    .execute()
  return id
}

async function fill(serverId: number, total: number, rowBytes = maxRowBytes): Promise<void> {
  await bench.db.connection().execute(async (db) => {
    await sql`select set_config('synchronous_commit', 'off', false)`.execute(db)
    let last: Recorded | null = null
    let trimmedAt = 0
    for (let at = 0; at < total; at += rowBytes) {
      const data = numbered(at, Math.min(rowBytes, total - at))
      last = await recordOutput(db, serverId, { dropped: 0, data }, settings)
      if (last.total - trimmedAt < trimEveryBytes) continue
      await trimRecording(db, last)
      trimmedAt = last.total
    }
  })
}

async function read(id: string, from = 0): Promise<{ missing: number; at: number; bytes: number }[]> {
  const recording = await bench.ports.serial.recording(id, from)
  assert.ok(recording !== null)
  const runs: { missing: number; at: number; bytes: number }[] = []
  let at = recording.from
  for await (const { missing, data } of recording.parts) {
    at += missing
    assert.ok(Buffer.from(data).equals(numbered(at, data.length)), `the bytes at ${at}`)
    if (missing > 0 || runs.length === 0) runs.push({ missing, at, bytes: 0 })
    const run = runs.at(-1)
    if (run !== undefined) run.bytes += data.length
    at += data.length
  }
  assert.equal(at, recording.total)
  return runs
}

const storedBytes = async (serverId: number): Promise<number> => {
  const { rows } = await sql<{ sum: number }>`
    select coalesce(sum(length(data)), 0)::bigint as sum from serial_output where server_id = ${serverId}`.execute(
    bench.db,
  )
  return rows[0]?.sum ?? 0
}

describe('a recording', { concurrency: 3 }, () => {
  const whole = (bytes: number) => [{ missing: 0, at: 0, bytes }]
  const cut = (total: number) => [
    { missing: 0, at: 0, bytes: mib },
    { missing: total - 4 * mib, at: total - 3 * mib, bytes: 3 * mib },
  ]
  const totals = [
    { total: 1, rowBytes: 8192, kept: whole(1) },
    { total: mib - 1, rowBytes: 8191, kept: whole(mib - 1) },
    { total: 4 * mib - 1, rowBytes: 8192, kept: whole(4 * mib - 1) },
    { total: 4 * mib, rowBytes: 8192, kept: whole(4 * mib) },
    { total: 4 * mib + 1, rowBytes: 8192, kept: cut(4 * mib + 1) },
    { total: 5 * mib + 4321, rowBytes: 7919, kept: cut(5 * mib + 4321) },
    { total: 9 * mib + 7, rowBytes: 8192, kept: cut(9 * mib + 7) },
  ]
  for (const { total, rowBytes, kept } of totals) {
    test(`of ${total} bytes in rows of ${rowBytes} keeps its first MiB and its last three, to the byte`, async () => {
      const server = await bench.addSerialServer()
      const id = await deploymentRow(server)
      await fill(server.id, total, rowBytes)
      assert.deepEqual(await read(id), kept)
      const most = 4 * mib + trimEveryBytes + 2 * maxRowBytes
      assert.ok((await storedBytes(server.id)) <= most)
    })
  }

  test('is read from any position, or its end', async () => {
    const server = await bench.addSerialServer()
    const id = await deploymentRow(server)
    const total = 5 * mib
    await fill(server.id, total)
    const cases = [
      {
        from: mib - 5,
        runs: [
          { missing: 0, at: mib - 5, bytes: 5 },
          { missing: mib, at: 2 * mib, bytes: 3 * mib },
        ],
      },
      { from: mib + 5, runs: [{ missing: mib - 5, at: 2 * mib, bytes: 3 * mib }] },
      { from: 2 * mib, runs: [{ missing: 0, at: 2 * mib, bytes: 3 * mib }] },
      { from: 3 * mib + 4097, runs: [{ missing: 0, at: 3 * mib + 4097, bytes: 2 * mib - 4097 }] },
      { from: -3, runs: [{ missing: 0, at: total - 3, bytes: 3 }] },
      { from: -total - 1, runs: await read(id) },
      { from: total, runs: [] },
      { from: total + 1, runs: [] },
    ]
    for (const { from, runs } of cases) assert.deepEqual(await read(id, from), runs, String(from))
  })

  test('says where bytes were dropped', async () => {
    const server = await bench.addSerialServer()
    const id = await deploymentRow(server)
    await recordOutput(bench.db, server.id, { dropped: 0, data: numbered(0, 10) }, settings)
    await recordOutput(bench.db, server.id, { dropped: 90, data: numbered(100, 10) }, settings)
    assert.deepEqual(await read(id), [
      { missing: 0, at: 0, bytes: 10 },
      { missing: 90, at: 100, bytes: 10 },
    ])
  })

  test('outside of deployments is a ring of one MiB for each server', async () => {
    const server = await bench.addSerialServer()
    await fill(server.id, 2 * mib)
    assert.ok((await storedBytes(server.id)) <= mib + trimEveryBytes)
    const rows = await readTail(bench.db, server.id, 64 * kib)
    const tail = Buffer.concat(rows.map((row) => row.data))
    assert.ok(tail.equals(numbered(2 * mib - 64 * kib, 64 * kib)))
    assert.equal(rows[0]?.position, 2 * mib - 64 * kib)
  })

  for (const [what, bytes, length] of [
    ['less than there is', 100, 100],
    ['not a whole number of rows', 8193, 8193],
    ['more than there is', mib, 20_000],
  ] as const) {
    test(`a tail of ${what} is exact`, async () => {
      const server = await bench.addSerialServer()
      await fill(server.id, 20_000)
      const rows = await readTail(bench.db, server.id, bytes)
      const tail = Buffer.concat(rows.map((row) => row.data))
      assert.ok(tail.equals(numbered(20_000 - length, length)))
    })
  }

  const owners = [
    {
      what: 'one that is going on',
      changes: { state: 'open', ended_at: null, phase: 'await-agent' },
      own: true,
    },
    { what: 'one on hold', changes: { state: 'hold', ended_at: null }, own: true },
    { what: 'one that ended a minute ago', changes: { ended_at: new Date(Date.now() - 60_000) }, own: true },
    { what: 'one that ended long ago', changes: { ended_at: new Date(Date.now() - 660_000) }, own: false },
    {
      what: 'one that has not touched the power',
      changes: { state: 'open', ended_at: null, evidence: '{}' },
      own: false,
    },
  ]
  for (const { what, changes, own } of owners) {
    test(`is ${own ? 'that of' : 'not that of'} ${what}`, async () => {
      const server = await bench.addSerialServer()
      const id = await deploymentRow(server, changes)
      const { deploymentId } = await recordOutput(
        bench.db,
        server.id,
        { dropped: 0, data: numbered(0, 4) },
        settings,
      )
      assert.equal(deploymentId, own ? id : null)
    })
  }

  test('of the newest deployment takes over from the one before', async () => {
    const server = await bench.addSerialServer()
    const first = await deploymentRow(server)
    await recordOutput(bench.db, server.id, { dropped: 0, data: numbered(0, 4) }, settings)
    const second = await deploymentRow(server, {
      state: 'open',
      ended_at: null,
      evidence: '{"powerTouched":true}',
    })
    const recorded = await recordOutput(bench.db, server.id, { dropped: 0, data: numbered(0, 4) }, settings)
    assert.deepEqual([recorded.deploymentId, recorded.resetAt], [second, null])
    assert.equal((await bench.ports.serial.recording(first, 0))?.total, 4)
  })

  test('is dropped when nothing was added to it for as long as is set', async () => {
    const [old, young] = [await bench.addSerialServer(), await bench.addSerialServer()]
    const id = await deploymentRow(old)
    for (const { id } of [old, young]) await fill(id, 10)
    await bench.db
      .updateTable('serial_recording')
      .set({ written_at: new Date(Date.now() - 5000) })
      .where('server_id', '=', old.id)
      .execute()
    await pruneRecordings(bench.db, { consoleKeepMs: 4000 })
    assert.equal(await bench.ports.serial.recording(id, 0), null)
    assert.equal(await storedBytes(old.id), 0)
    assert.equal(await storedBytes(young.id), 10)
  })
})
