import { sql } from 'kysely'
import { type Db } from '../store/database.ts'
import { boundsOf, cutOut, maxRowBytes } from './bounds.ts'

/** Bytes that were shown, with how many before them were not kept. */
export interface Part {
  missing: number
  data: Uint8Array
}

const rowsAtOnce = 32
/** Of the newest rows, however short, that a new viewer's bytes are taken from. */
const tailRows = 4096

export interface Recording {
  /** Where it begins: a position that is not before what was asked for. */
  from: number
  /** Bytes so far, those that are not kept included. */
  total: number
  parts: AsyncIterable<Part>
}

/**
 * What was recorded with a deployment, from a position on; a negative one counts from the end. null when there is nothing. Rows
 * are read as they are asked for; what is cut out meanwhile is missing then, and said so.
 */
export async function readRecording(db: Db, deploymentId: string, from: number): Promise<Recording | null> {
  const recording = await db
    .selectFrom('serial_recording')
    .select(['id', 'bytes'])
    .where('deployment_id', '=', deploymentId)
    .executeTakeFirst()
  if (recording === undefined) return null
  const total = recording.bytes
  const start = Math.min(total, from < 0 ? Math.max(0, total + from) : from)
  return { from: start, total, parts: readParts(db, recording.id, deploymentId, start, total) }
}

async function* readParts(
  db: Db,
  recordingId: number,
  deploymentId: string,
  from: number,
  total: number,
): AsyncGenerator<Part> {
  const cut = cutOut(boundsOf(deploymentId), total)
  let at = from
  // A row that begins before may end after it.
  let after = from - maxRowBytes
  for (;;) {
    const rows = await db
      .selectFrom('serial_output')
      .select(['position', 'data'])
      .where('recording_id', '=', recordingId)
      .where('position', '>', after)
      .where('position', '<', total)
      .orderBy('position')
      .limit(rowsAtOnce)
      .execute()
    for (const row of rows) {
      for (const piece of keptOf(row, at, total, cut)) {
        yield { missing: piece.position - at, data: piece.data }
        at = piece.position + piece.data.length
      }
      after = row.position
    }
    if (rows.length < rowsAtOnce) break
  }
  if (at < total) yield { missing: total - at, data: new Uint8Array() }
}

interface Placed {
  position: number
  data: Uint8Array
}

/** What of a row lies from `from` to before `to`, and outside of what is cut out. */
function keptOf(row: Placed, from: number, to: number, cut: ReturnType<typeof cutOut>): Placed[] {
  const ranges =
    cut === null
      ? [[from, to]]
      : [
          [from, Math.min(to, cut.from)],
          [Math.max(from, cut.to), to],
        ]
  return ranges.flatMap(([first = 0, last = 0]) => {
    const start = Math.max(first - row.position, 0)
    const data = row.data.subarray(start, Math.max(start, last - row.position))
    return data.length === 0 ? [] : [{ position: row.position + start, data }]
  })
}

export interface ShownRow extends Placed {
  /** Rises with the server's output, over recordings. */
  id: number
  recordingId: number
}

/** What a server's console showed after a row. */
export async function readAfter(db: Db, serverId: number, id: number): Promise<ShownRow[]> {
  return await db
    .selectFrom('serial_output')
    .select(['id', 'recording_id as recordingId', 'position', 'data'])
    .where('server_id', '=', serverId)
    .where('id', '>', id)
    .orderBy('id')
    .limit(rowsAtOnce)
    .execute()
}

/** The newest `bytes` bytes that a server's console showed; the first row is cut to fit. */
export async function readTail(db: Db, serverId: number, bytes: number): Promise<ShownRow[]> {
  const { rows } = await sql<ShownRow>`
    with newest as (
      select id, recording_id, position, data, sum(length(data)) over (order by id desc) as sum
      from (
        select id, recording_id, position, data from serial_output
        where server_id = ${serverId} order by id desc limit ${tailRows}
      ) as rows
    )
    select id, recording_id as "recordingId",
      position + greatest(sum - ${bytes}, 0) as position,
      substring(data from (greatest(sum - ${bytes}, 0) + 1)::integer) as data
    from newest where sum - length(data) < ${bytes} order by id`.execute(db)
  return rows
}

/** Where the row of that number ended, so that a viewer can go on after it; undefined once it is not kept any more. */
export async function findEnd(
  db: Db,
  serverId: number,
  id: number,
): Promise<{ id: number; recordingId: number; end: number } | undefined> {
  return await db
    .selectFrom('serial_output')
    .select(['id', 'recording_id as recordingId', sql<number>`position + length(data)`.as('end')])
    .where('server_id', '=', serverId)
    .where('id', '=', id)
    .executeTakeFirst()
}
