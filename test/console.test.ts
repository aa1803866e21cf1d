import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { imageServer, type ImageServer } from '../scripts/image-server.ts'
import { tryCommand } from '../scripts/run-command.ts'
import { smallImage, type SmallImage } from '../scripts/small-image.ts'
import { absent, byoiRoute, labTools, startLab, untilEnded, waitFor, type Lab } from './support/lab.ts'

const byoi = join(import.meta.dirname, '..', 'byoi')
/** Gives a program a terminal of its own; what it is sent is typed there. */
const terminal = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'
const tools = { ...labTools, python3: 'python3' }

describe("A server's console from a terminal", { skip: absent(tools) }, () => {
  const server = 'console.example.test'
  let lab: Lab
  let image: SmallImage
  let images: ImageServer
  let conf: string[]

  before(async () => {
    lab = await startLab()
    await lab.addServer(server)
    image = await smallImage(lab.folder, 'small', 16, 'raw')
    images = await imageServer([image.path])
    const { applicationKey, applicationSecret, consumerKey } = lab.key
    const path = join(lab.folder, 'ovh.conf')
    const endpoint = `${lab.control.url}/1.0`
    const keys = `application_key=${applicationKey}\napplication_secret=${applicationSecret}\nconsumer_key=${consumerKey}`
    await writeFile(path, `[default]\nendpoint=${endpoint}\n[${endpoint}]\n${keys}\n`)
    conf = ['--conf', path, '--ca', lab.control.caPath]
  })
  after(async () => {
    await images?.close()
    await lab?.close()
  })

  /** A running console, and what it has printed so far. */
  const open = (program: string, args: string[]) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    const printed = { out: '', err: '' }
    child.stdout.on('data', (data: Buffer) => (printed.out += data.toString()))
    child.stderr.on('data', (data: Buffer) => (printed.err += data.toString()))
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    return { child, printed, ended }
  }
  const until = (what: string, ask: () => boolean) => waitFor(what, async () => (ask() ? true : undefined))
  const stop = (child: ChildProcess) => child.kill('SIGTERM')

  test('shows what the server writes, live and afterwards, in a terminal and without one', async () => {
    const piped = open(byoi, ['console', server, ...conf])
    const shown = open('/usr/bin/python3', ['-c', terminal, byoi, 'console', server, ...conf])
    try {
      await until('both to be open', () =>
        [piped.printed.err, shown.printed.out].every((text) => text.includes('The console is open.')),
      )
      await lab.client.call('POST', byoiRoute(server), { URL: images.urlOf(image.path), type: 'raw' })
      const view = await untilEnded(lab.client, server)
      assert.equal(view.state, 'done')
      const line = view.log[0] ?? ''
      assert.notEqual(line, '')
      await until('the log in both', () =>
        [piped.printed.out, shown.printed.out].every((text) => text.includes(line)),
      )
      // Raw mode: the console's own line ends, and no echo of what is typed.
      assert.match(shown.printed.out, /\r\n/)
      shown.child.stdin.write('\u001d')
      assert.deepEqual(await shown.ended, [0, null])
      assert.ok(!shown.printed.out.includes('^]'))
      assert.ok(shown.printed.out.includes('\u001b[?25h'), 'the terminal is restored')
      stop(piped.child)
      assert.deepEqual(await piped.ended, [0, null])

      const recorded = await tryCommand(byoi, ['console', server, '--recorded', ...conf])
      assert.equal(recorded.status, 0, recorded.stderr)
      assert.ok(recorded.stdout.toString().includes(line))
      assert.ok(piped.printed.out.endsWith(recorded.stdout.toString()), 'both show the same bytes')
      const byId = await tryCommand(byoi, ['console', server, '--recorded', view.id, '--raw', ...conf])
      assert.equal(byId.stdout.toString().replaceAll('\r\n', '\n'), recorded.stdout.toString())
    } finally {
      for (const { child } of [piped, shown]) child.kill('SIGKILL')
    }
  })

  test('outlives a control plane that is killed and started again, without a line twice', async () => {
    const piped = open(byoi, ['console', server, ...conf])
    try {
      await until('it to be open', () => piped.printed.err.includes('The console is open.'))
      await lab.control.kill()
      await until('the loss to be told', () => piped.printed.err.includes('connection is lost'))
      await lab.control.start()
      await until('it to be open again', () => piped.printed.err.split('The console is open.').length > 2)
      const before = piped.printed.out
      await lab.client.call('POST', byoiRoute(server), { URL: images.urlOf(image.path), type: 'raw' })
      const { log } = await untilEnded(lab.client, server)
      await until('the new log', () => piped.printed.out.slice(before.length).includes(log.at(-1) ?? '?'))
      // What was there before the loss was shown once.
      assert.equal(piped.printed.out.indexOf(before.slice(0, 200), 1), -1)
    } finally {
      piped.child.kill('SIGKILL')
    }
  })

  test('is refused where there is no such server, with the reason', async () => {
    const { status, stderr } = await tryCommand(byoi, ['console', 'none.example.test', ...conf])
    assert.equal(status, 1)
    assert.match(stderr, /does not exist/)
  })
})
