import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Bench, eventually, openBench } from '../control-plane.fixture.ts'
import { withConsole } from './serial.fixture.ts'
import { TcpLine } from './tcp-line.fixture.ts'

const program = join(import.meta.dirname, 'replica.fixture.ts')

/** Numbers of the lines, each of which the serial line has said to one reader once. */
const numbersIn = (text: string): number[] =>
  text.split('\n').flatMap((line) => {
    const [, number] = /^line (\d+)$/.exec(line) ?? []
    return number === undefined ? [] : [Number(number)]
  })

describe('two replicas that could both hold a console', () => {
  let bench: Bench
  let line: TcpLine
  let replicas: ChildProcess[]
  let text = ''
  const gone = new AbortController()

  const start = async (): Promise<ChildProcess> => {
    const args = [
      program,
      JSON.stringify(bench.postgres.connection),
      join(bench.directory, 'keys'),
      String(line.port),
    ]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    return child
  }
  const holder = async (not = 0) =>
    await eventually(
      'somebody to hold the console',
      async () => (replicas.some(({ pid }) => pid === line.reader && pid !== not) ? line.reader : null),
      30_000,
    )
  const linesMore = async (count: number) => {
    const before = numbersIn(text).length
    await eventually(`${count} more lines`, async () => numbersIn(text).length >= before + count)
  }

  before(async () => {
    bench = await openBench()
    // Only the others have the console.
    const { openBmc } = bench.context
    bench.context.openBmc = (row) => withConsole(openBmc(row), null)
    line = await TcpLine.listen()
    replicas = [await start(), await start()]
    const server = await bench.addServer()
    const { id } = await bench.db
      .selectFrom('server')
      .select('id')
      .where('service_name', '=', server.name)
      .executeTakeFirstOrThrow()
    void (async () => {
      for await (const event of bench.ports.serial.follow(id, null, gone.signal)) {
        if (event.kind === 'output') text += Buffer.from(event.data).toString()
        else if (event.kind === 'missing') text += `missing ${event.bytes}\n`
      }
    })()
  })
  after(async () => {
    gone.abort()
    for (const child of replicas) {
      child.kill('SIGCONT')
      child.kill('SIGKILL')
    }
    line.close()
    await bench.close()
  })

  const increasing = () => {
    const numbers = numbersIn(text)
    const twice = numbers.filter((number, at) => at > 0 && number <= (numbers[at - 1] ?? 0))
    assert.deepEqual(twice, [])
    assert.doesNotMatch(text, /missing/)
  }

  test('when one is killed the other goes on within seconds, and nothing is shown twice', async () => {
    const first = await holder()
    await linesMore(50)
    process.kill(first, 'SIGKILL')
    const killed = performance.now()
    const second = await holder(first)
    assert.ok(performance.now() - killed < 10_000)
    assert.notEqual(second, first)
    await linesMore(50)
    increasing()
    replicas.push(await start())
  })

  test('one that was stopped for long has lost the console when it goes on, and writes nothing of what it had read', async () => {
    const first = await holder()
    await linesMore(50)
    process.kill(first, 'SIGSTOP')
    await holder(first)
    process.kill(first, 'SIGCONT')
    await linesMore(200)
    increasing()
    assert.notEqual(line.reader, first)
  })

  test('one that is told to stop stores what it has read, and lets go at once', async () => {
    const first = await holder()
    await linesMore(50)
    const leaving = performance.now()
    process.kill(first, 'SIGTERM')
    await holder(first)
    assert.ok(performance.now() - leaving < 10_000)
    await linesMore(50)
    increasing()
  })
})
