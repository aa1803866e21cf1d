import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { kernelWordsFile } from '@byoi/contract'
import { type Bench, eventually, openBench } from '../control-plane.fixture.ts'
import {
  agentOf,
  closeBmcs,
  kernelWords,
  macOf,
  mediumIn,
  openProvisioning,
  type Provisioning,
  RealServer,
  wordIn,
} from './netboot.fixture.ts'

let bench: Bench
let listener: Provisioning
before(async () => {
  bench = await openBench({ readingsApartMs: 10 })
  listener = await openProvisioning(bench)
})
after(async () => {
  await listener.close()
  await bench.close()
  await closeBmcs()
})

/** A server that waits for its agent. */
async function waiting(agentBoot: Parameters<typeof RealServer.add>[1] = {}) {
  const server = await RealServer.add(bench, agentBoot)
  const id = await server.inspect()
  const row = await server.until(id, 'await-agent')
  assert.equal(row.phase, 'await-agent', JSON.stringify(row.failure ?? row.hold))
  return { server, id }
}

const scriptOf = async (...macs: string[]): Promise<string> =>
  (await listener.ask(`/netboot/boot.ipxe?${macs.join('&')}`)).body.toString()

const alarmsOf = async (server: RealServer) =>
  await bench.db
    .selectFrom('audit')
    .select(['actor', 'detail'])
    .where('action', '=', 'boot-medium.alarm')
    .where('service_name', '=', server.name)
    .execute()

describe('a server that boots from the network', { concurrency: 4 }, () => {
  test('is asked for its ports, gets its script by any of them, its medium once, and joins', async () => {
    const { server, id } = await waiting({ kernelWords: 'console=ttyS1,9600' })
    assert.deepEqual(
      server.machine.starts.map(({ boot }) => boot.device),
      ['network'],
    )
    const first = (await listener.ask('/netboot/boot.ipxe')).body.toString()
    assert.match(
      first,
      /^#!ipxe\nchain --autofree --replace boot\.ipxe\?mac=\$\{netX\/mac:hexhyp\}&mac=\$\{net0\/mac:hexhyp\}/,
    )
    const script = await scriptOf('mac=', 'mac=52-54-00-00-00-99', `mac=${server.mac.toUpperCase()}`)
    assert.match(script, /^kernel .* initrd=initrd initrd=medium console=tty0 console=ttyS1,9600 /m)
    const lines = script.split('\n').map((line) => line.split(' ')[0])
    assert.deepEqual(lines.slice(0, 6), ['#!ipxe', 'echo', 'kernel', 'initrd', 'initrd', 'boot'])

    const path = `/netboot/medium/${wordIn(script)}`
    const asked = await listener.ask(path, { method: 'HEAD' })
    assert.deepEqual([asked.status, asked.headers['content-length']], [200, '4096'])
    const given = await listener.ask(path)
    assert.deepEqual([given.status, given.body.length], [200, 4096])
    const medium = mediumIn(given.body)
    assert.deepEqual([medium.server, medium.controlUrl], [server.name, 'https://agents.example'])
    assert.match(await scriptOf(`mac=${server.mac}`), /started already/)

    const agent = agentOf(bench, given.body)
    assert.equal((await agent.join()).status, 200)
    assert.equal((await agent.order()).body['kind'], 'inspect')
    assert.equal((await listener.ask(path)).status, 404)
    assert.equal((await alarmsOf(server)).length, 0)
    await agent.report(null, { kind: 'inspected', findings: ['a finding'] })
    const row = await server.until(id, 'close')
    assert.deepEqual(row.notes, ['a finding'])
    // It was off before it was inspected.
    await eventually('the end', async () => (await server.row(id)).state === 'done')
    assert.equal(await server.machine.power(), 'off')
  })

  test('whose medium is asked for twice is an alarm, told once', async () => {
    const { server, id } = await waiting()
    const path = `/netboot/medium/${wordIn(await scriptOf(`mac=${server.mac}`))}`
    const answers = await Promise.all(Array.from({ length: 8 }, () => listener.ask(path)))
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, ...Array.from({ length: 7 }, () => 404)],
    )
    await listener.ask(path, { from: '127.0.0.2' })
    await eventually('the alarm', async () => (await server.row(id)).notes.length > 0)
    const { notes, state } = await server.row(id)
    assert.match(notes[0] ?? '', /^Alarm: the boot medium of this start was asked for again/)
    assert.equal(state, 'open')
    const alarms = await alarmsOf(server)
    assert.equal(alarms.length, 1)
    assert.deepEqual(alarms[0]?.detail['firstAddress'], '127.0.0.1')
    assert.ok(
      listener.log.some((line) => line.includes('"address":"127.0.0.2"') && line.includes(server.name)),
    )
  })

  const notNow: [string, (server: RealServer, id: string) => Promise<unknown>][] = [
    [
      'whose secret has expired',
      (_server, id) =>
        bench.db
          .updateTable('boot_secret')
          .set({ expires_at: new Date(0) })
          .where('deployment_id', '=', id)
          .execute(),
    ],
    [
      'whose epoch is over',
      (server) =>
        bench.db.updateTable('server').set({ epoch: 99 }).where('service_name', '=', server.name).execute(),
    ],
    [
      'that was never seen to be off',
      (_server, id) =>
        bench.db
          .updateTable('deployment')
          .set({ evidence: JSON.stringify({}) })
          .where('id', '=', id)
          .execute(),
    ],
    [
      'that is held',
      (_server, id) =>
        bench.db.updateTable('deployment').set({ state: 'hold', due: null }).where('id', '=', id).execute(),
    ],
  ]
  for (const [what, change] of notNow) {
    test(`${what} gets neither script nor medium`, async () => {
      const { server, id } = await waiting()
      const word = wordIn(await scriptOf(`mac=${server.mac}`))
      assert.equal(word.length, 40)
      await change(server, id)
      assert.match(await scriptOf(`mac=${server.mac}`), /no agent is to be started/)
      for (const method of ['HEAD', 'GET']) {
        assert.equal((await listener.ask(`/netboot/medium/${word}`, { method })).status, 404)
      }
      assert.equal((await alarmsOf(server)).length, 0)
    })
  }

  test('gets nothing by the ports of two servers, by none, and by those of nobody', async () => {
    const [{ server: one }, { server: two }] = [await waiting(), await waiting()]
    const idle = await RealServer.add(bench)
    for (const macs of [[one.mac, two.mac], [], [macOf('nobody')], ['x'], [idle.mac]]) {
      const script = await scriptOf(...macs.map((mac) => `mac=${mac}`), 'x=')
      assert.match(script, /no agent is to be started/, macs.join())
      assert.match(script, /^exit 1$/m)
    }
  })

  test('is not given a CD', async () => {
    const { server } = await waiting()
    const word = wordIn(await scriptOf(`mac=${server.mac}`))
    assert.equal((await listener.ask(`/media/${word}.iso`)).status, 404)
    assert.equal((await listener.ask(`/netboot/${server.mac}/byoi.iso`)).status, 404)
    assert.equal((await listener.ask(`/netboot/medium/${word}`)).status, 200)
  })
})

/** The ISO as this server must see it. */
function expectedIso(medium: Buffer): Buffer {
  const { manifest, files } = listener.ramdisk
  const iso = Buffer.from(files.iso)
  medium.copy(iso, manifest.iso.medium.offset)
  kernelWordsFile(kernelWords, manifest.iso.words.length).copy(iso, manifest.iso.words.offset)
  return iso
}

const mediumAt = (iso: Buffer): Buffer => {
  const { offset, length } = listener.ramdisk.manifest.iso.medium
  return iso.subarray(offset, offset + length)
}

describe('a server that boots from the virtual CD of its BMC', () => {
  test('finds it inserted before it starts, reads it in pieces, and loses it at the end', async () => {
    const { server, id } = await waiting({ way: 'virtual-media', macs: [] })
    const [start] = server.machine.starts
    assert.equal(start?.boot.device, 'cd')
    assert.match(start?.medium ?? '', /^http:\/\/media\.example\/media\/[0-9a-f]{40}\.iso$/)
    const path = new URL(start?.medium ?? '').pathname
    const head = await listener.ask(path, { method: 'HEAD', from: '127.0.0.3' })
    const size = listener.ramdisk.files.iso.length
    assert.deepEqual(
      [head.status, head.headers['content-length'], head.headers['accept-ranges'], head.body.length],
      [200, String(size), 'bytes', 0],
    )
    // As a BMC does: pieces of odd sizes, several at once.
    const pieces = Array.from({ length: 35 }, (_, at) => at * 30_011)
    const answers = await Promise.all(
      pieces.map((from) => listener.ask(path, { headers: { Range: `bytes=${from}-${from + 30_010}` } })),
    )
    assert.ok(answers.every(({ status }) => status === 206))
    assert.equal(answers[3]?.headers['content-range'], `bytes 90033-120043/${size}`)
    const iso = Buffer.concat(answers.map(({ body }) => body))
    assert.ok(iso.equals(expectedIso(mediumAt(iso))))
    assert.ok((await listener.ask(path)).body.equals(iso))
    assert.equal((await alarmsOf(server)).length, 0)

    const agent = agentOf(bench, mediumAt(iso))
    assert.equal((await agent.join()).status, 200)
    assert.equal((await listener.ask(path)).status, 404)
    await agent.report(null, { kind: 'inspected', findings: [] })
    await eventually('the end', async () => (await server.row(id)).state === 'done')
    assert.equal(server.machine.medium(), null)
  })

  test('does not share it: a second reader is refused, and told of', async () => {
    const { server, id } = await waiting({ way: 'virtual-media', macs: [] })
    const path = new URL(server.machine.medium()?.url ?? '').pathname
    assert.equal((await listener.ask(path)).status, 200)
    assert.equal((await listener.ask(path, { from: '127.0.0.2' })).status, 404)
    assert.equal((await listener.ask(path)).status, 200)
    assert.equal((await alarmsOf(server)).length, 1)
    assert.match((await server.row(id)).notes[0] ?? '', /^Alarm/)
    assert.equal((await listener.ask(path.replace('/media/', '/netboot/medium/').slice(0, -4))).status, 404)
  })

  const ranges: [string, number, string | undefined][] = [
    ['bytes=0-0', 206, 'bytes 0-0/'],
    ['bytes=-1', 206, `bytes ${1024 * 1024 + 511}-`],
    ['bytes=1048000-', 206, 'bytes 1048000-'],
    ['bytes=1048000-99999999', 206, 'bytes 1048000-1049087/'],
    ['bytes=5000000-', 416, 'bytes */'],
    ['bytes=-0', 416, 'bytes */'],
    ['bytes=9-1', 200, undefined],
    ['bytes=0-1,5-6', 200, undefined],
    ['lines=0-1', 200, undefined],
    ['bytes=x', 200, undefined],
    ['bytes=99999999999999999999-', 200, undefined],
  ]
  test('gets what each Range header asks for', async () => {
    const { server } = await waiting({ way: 'virtual-media', macs: [] })
    const path = new URL(server.machine.medium()?.url ?? '').pathname
    const whole = await listener.ask(path)
    for (const [range, status, contentRange] of ranges) {
      const answer = await listener.ask(path, { headers: { Range: range } })
      assert.equal(answer.status, status, range)
      assert.equal(Number(answer.headers['content-length']), answer.body.length, range)
      assert.ok(String(answer.headers['content-range']).startsWith(contentRange ?? 'undefined'), range)
      assert.equal(answer.headers['transfer-encoding'], undefined)
    }
    const { etag } = whole.headers
    const same = { Range: 'bytes=0-9', 'If-Range': String(etag) }
    assert.equal((await listener.ask(path, { headers: same })).status, 206)
    const other = { Range: 'bytes=0-9', 'If-Range': '"x"' }
    assert.equal((await listener.ask(path, { headers: other })).status, 200)
  })
})

describe('a server whose firmware fetches the CD over HTTP', () => {
  test('is told by its BMC, and gets it by that URL', async () => {
    const { server } = await waiting({ way: 'uefi-http' })
    const [start] = server.machine.starts
    assert.equal(start?.boot.device, 'uefi-http')
    const url = new URL(start?.boot.httpUri ?? '')
    assert.equal(url.origin, listener.url)
    const answer = await listener.ask(url.pathname)
    assert.equal(answer.headers['content-type'], 'application/vnd.efi-iso')
    assert.ok(answer.body.equals(expectedIso(mediumAt(answer.body))))
    assert.equal((await agentOf(bench, mediumAt(answer.body)).join()).status, 200)
  })

  test('or by the address of its port, where DHCP told it, in either spelling', async () => {
    const { server } = await waiting({ way: 'uefi-http' })
    const dashes = server.mac.replaceAll(':', '-').toUpperCase()
    const answer = await listener.ask(`/netboot/${dashes}/byoi.iso`)
    assert.ok(answer.body.equals(expectedIso(mediumAt(answer.body))))
    assert.equal((await listener.ask(`/netboot/${server.mac}/byoi.iso`)).status, 200)
    assert.match(await scriptOf(`mac=${server.mac}`), /no agent is to be started/)
    assert.equal((await agentOf(bench, mediumAt(answer.body)).join()).status, 200)
    assert.equal((await listener.ask(`/netboot/${server.mac}/byoi.iso`)).status, 404)
  })
})

test('what all servers share is served as it was built', async () => {
  const { files } = listener.ramdisk
  for (const name of ['vmlinuz', 'initrd'] as const) {
    const whole = await listener.ask(`/netboot/${name}`)
    assert.ok(whole.body.equals(files[name]))
    const part = await listener.ask(`/netboot/${name}`, { headers: { Range: 'bytes=10-19' } })
    assert.ok(part.body.equals(files[name].subarray(10, 20)))
    const head = await listener.ask(`/netboot/${name}`, { method: 'HEAD' })
    assert.deepEqual([head.headers['content-length'], head.body.length], [String(files[name].length), 0])
  }
  assert.equal((await listener.ask('/netboot/ipxe/snponly.efi')).body.toString(), 'an EFI program')
  // Not built: there is none to give, but it is known what is asked for.
  assert.equal((await listener.ask('/netboot/ipxe/undionly.kpxe')).status, 503)
})

describe('a server is left alone, and its owner told why,', () => {
  const lacks: [string, () => Promise<() => unknown>, RegExp][] = [
    [
      'without a provisioning listener',
      async () => {
        const { provisioning } = bench.context
        bench.context.provisioning = null
        return () => (bench.context.provisioning = provisioning)
      },
      /no provisioning listener/,
    ],
    [
      'without a ramdisk',
      async () => {
        const { provisioning } = bench.context
        const elsewhere = `${listener.ramdisk.directory}-none`
        bench.context.provisioning = provisioning && { ...provisioning, ramdisk: elsewhere }
        return () => (bench.context.provisioning = provisioning)
      },
      /holds no ramdisk for servers: manifest\.json cannot be read \(ENOENT\)/,
    ],
  ]
  for (const [what, take, cause] of lacks) {
    test(what, async () => {
      const giveBack = await take()
      const server = await RealServer.add(bench)
      const id = await server.inspect()
      const row = await eventually('the error', async () => {
        const found = await server.row(id)
        return found.state === 'error' ? found : null
      })
      giveBack()
      assert.match(row.failure?.cause ?? '', cause)
      assert.match(row.failure?.remedy ?? '', /byoi (up --provisioning|ramdisk build)/)
      assert.equal(row.disk, 'untouched')
      assert.deepEqual([server.machine.actions, server.machine.starts], [[], []])
    })
  }
})
