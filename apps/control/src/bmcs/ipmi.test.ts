import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Secret } from '@byoi/contract'
import { type Bench, caller, eventually, openBench } from '../control-plane.fixture.ts'
import { described, macOf, openProvisioning, type Provisioning } from '../netboot/netboot.fixture.ts'

const absent = ['ipmi_sim', 'ipmitool'].filter((tool) => spawnSync(tool, ['-V']).error !== undefined)
const password = 'canary-ipmi-1'

/** OpenIPMI's simulator, whose chassis is a folder with a file for each of its values. */
async function startSimulator(
  directory: string,
): Promise<{ port: number; child: ChildProcess; chassis: string }> {
  const chassis = join(directory, 'chassis')
  const script = join(directory, 'chassis.sh')
  await mkdir(chassis, { recursive: true })
  await mkdir(join(directory, 'state'))
  await writeFile(join(chassis, 'boot'), 'none')
  await writeFile(
    script,
    `#!/bin/sh
cd ${chassis}
verb=$1
shift
case $verb in
get) for name in "$@"; do echo "$name:$(cat "$name" 2>/dev/null || echo 0)"; done ;;
set) while [ $# -gt 1 ]; do echo "$2" >"$1"; shift 2; done ;;
esac
`,
  )
  await chmod(script, 0o700)
  const port = await freePort()
  await writeFile(
    join(directory, 'lan.conf'),
    `name "byoi"
set_working_mc 0x20
startlan 1
addr 127.0.0.1 ${port}
priv_limit admin
allowed_auths_callback md5
allowed_auths_user md5
allowed_auths_operator md5
allowed_auths_admin md5
guid b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1
endlan
chassis_control "${script}"
user 2 true "admin" "${password}" admin 10 md5
`,
  )
  await writeFile(
    join(directory, 'bmc.emu'),
    `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`,
  )
  const args = ['-n', '-c', 'lan.conf', '-f', 'bmc.emu', '-s', 'state']
  return { port, child: spawn('ipmi_sim', args, { cwd: directory, stdio: 'ignore' }), chassis }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

describe('a server with an IPMI BMC', { skip: absent.length > 0 && `absent: ${absent.join(', ')}` }, () => {
  let bench: Bench
  let listener: Provisioning
  let simulator: Awaited<ReturnType<typeof startSimulator>>
  before(async () => {
    bench = await openBench({ readingsApartMs: 10 })
    listener = await openProvisioning(bench)
    simulator = await startSimulator(join(bench.directory, 'ipmi'))
  })
  after(async () => {
    await listener.close()
    await bench.close()
    simulator.child.kill('SIGKILL')
  })

  const server = (name: string, change: Record<string, string | number> = {}) => ({
    ...described(name, ''),
    bmc: {
      kind: 'ipmi',
      settings: { host: '127.0.0.1', port: simulator.port, user: 'admin', commandIntervalMs: 0, ...change },
      password: new Secret(password),
    },
  })
  type Described = ReturnType<typeof server>

  const refused: [string, (server: Described) => Parameters<Bench['ports']['servers']['add']>[0], RegExp][] =
    [
      [
        'the wrong password',
        (each) => ({ ...each, bmc: { ...each.bmc, password: new Secret('wrong') } }),
        /user|password/i,
      ],
      [
        'a password that IPMI cannot take',
        (each) => ({ ...each, bmc: { ...each.bmc, password: new Secret('x'.repeat(21)) } }),
        /20 bytes at most/,
      ],
      [
        'no host',
        (each) => ({ ...each, bmc: { ...each.bmc, settings: { user: 'admin' } } }),
        /host is missing/,
      ],
      ['suite 0', () => server('x.example', { cipherSuite: 0 }), /17 or 3/],
      [
        'a host that would be an option',
        () => server('x.example', { host: '-H' }),
        /host name or an address/,
      ],
      ['a port that is none', () => server('x.example', { port: 70_000 }), /1 to 65535/],
      [
        'a virtual CD',
        (each) => ({ ...each, agentBoot: { ...each.agentBoot, way: 'virtual-media' as const } }),
        /no virtual media/,
      ],
      ['no way for its agent', (each) => ({ ...each, agentBoot: null }), /needs agentBoot/],
    ]
  for (const [what, change, reason] of refused) {
    test(`is refused with ${what}`, async () => {
      const added = await bench.ports.servers.add(change(server('refused.example')), caller)
      assert.match(added.kind === 'refused' ? added.reason : added.kind, reason)
      assert.ok(!JSON.stringify(added).includes('canary'))
      assert.equal(await bench.ports.servers.show('refused.example'), null)
    })
  }

  test('is added when it answers, is checked, and starts its agent from the network', async () => {
    assert.deepEqual(await bench.ports.servers.add(server('ipmi.example'), caller), { kind: 'added' })
    const same = await bench.ports.servers.add(
      { ...server('same.example'), agentBoot: described('b', '').agentBoot },
      caller,
    )
    assert.match(
      same.kind === 'refused' ? same.reason : '',
      /^The BMC 127\.0\.0\.1 \d+ is that of server ipmi\.example/,
    )
    const checked = await bench.ports.servers.check('ipmi.example')
    assert.equal(checked?.power, 'off')
    assert.match(checked.problems.join(), /cipher suite 0/i)

    const started = await bench.ports.deployments.inspect('ipmi.example', caller)
    const id = started.kind === 'started' ? started.id : ''
    await eventually('the start', async () => {
      const row = await bench.db
        .selectFrom('deployment')
        .selectAll()
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      assert.equal(row.state, 'open', JSON.stringify(row.failure ?? row.hold))
      return row.phase === 'await-agent'
    })
    assert.equal((await readFile(join(simulator.chassis, 'power'), 'utf8')).trim(), '1')
    const script = await listener.ask(`/netboot/boot.ipxe?mac=${macOf('ipmi.example')}`)
    assert.match(script.body.toString(), /^initrd --name medium medium\/[0-9a-f]{40} /m)
  })
})
