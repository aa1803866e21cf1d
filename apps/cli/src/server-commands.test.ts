import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import { type NewServerBody, type ServerAnswer, type ServerChangeBody } from '@byoi/contract'
import { byoi, environment, type Route, testApi, view } from './api.fixture.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-server-'))
after(() => rmSync(directory, { recursive: true }))

const name = 'ns1.example.test'
const pin = `${'A'.repeat(43)}=`

function file(fileName: string, content: string): string {
  const path = join(directory, fileName)
  writeFileSync(path, content)
  return path
}
const passwordFile = file('password', 'canary password\n')
const network = {
  ports: ['52:54:00:00:00:01'],
  bond: null,
  vlan: 7,
  mtu: null,
  ipv4: { method: 'dhcp' as const },
  ipv6: { method: 'none' as const },
  nameservers: [],
}
const networkFile = file('network.json', JSON.stringify(network))

const server = (change: Partial<ServerAnswer> = {}): ServerAnswer => ({
  serverId: 1,
  serviceName: name,
  account: 'default',
  boot: 'uefi',
  powerState: null,
  diskGroups: [],
  ownImage: false,
  rescueSshKey: null,
  efiBootloaderPath: null,
  createdAt: '2026-11-24T00:00:00Z',
  bmc: {
    kind: 'redfish',
    settings: { address: 'https://10.0.0.5', user: 'admin', spki: pin, system: '/redfish/v1/Systems/1' },
    identity: { vendor: 'Dell', model: 'R740', firmware: '6.10', serial: 'ABC' },
  },
  agentBoot: { way: 'netboot', macs: ['52:54:00:00:00:01'], kernelWords: '', network: null },
  found: null,
  ...change,
})

const words = (line: string): string[] => line.split(' ')

async function serve(t: TestContext, routes: Record<string, Route>) {
  const api = await testApi(routes)
  t.after(() => api.close())
  return { api, env: environment(api.endpoint) }
}

describe('server add', () => {
  const redfish = [
    '--bmc',
    'redfish',
    '--bmc-address',
    'https://10.0.0.5',
    '--bmc-user',
    'admin',
    '--boot',
    'uefi',
  ]
  const ipmi = [
    '--bmc',
    'ipmi',
    '--bmc-user',
    'ADMIN',
    '--boot',
    'legacy',
    '--agent-boot',
    'netboot',
    '--mac',
    '52-54-00-00-00-0A',
  ]
  const netboot = ['--agent-boot', 'netboot', '--mac', '52:54:00:00:00:01']

  const cases: [string, string[], Partial<NewServerBody>][] = [
    [
      'a Redfish BMC, with what is usual',
      [...redfish, ...netboot],
      {
        boot: 'uefi',
        diskGroups: [],
        agentBoot: { way: 'netboot', macs: ['52:54:00:00:00:01'], kernelWords: '', network: null },
        bmc: {
          kind: 'redfish',
          settings: { address: 'https://10.0.0.5', user: 'admin' },
          password: 'canary password',
        },
      },
    ],
    [
      'a Redfish BMC, with everything',
      [
        ...redfish,
        '--bmc-fingerprint',
        pin,
        ...words('--bmc-system /redfish/v1/Systems/2 --console ipmi --console-address 10.0.0.6:6230'),
        ...words('--cipher-suite 3 --command-interval 0 --agent-boot virtual-media --account acme'),
        ...words('--kernel-words console=ttyS1,115200 --disk-serial S1 --disk-wwn eui.1'),
        ...words(`--disk-size 480103981056 --network ${networkFile}`),
      ],
      {
        account: 'acme',
        diskGroups: [{ diskGroupId: 1, disks: [{ serial: 'S1', wwn: 'eui.1', size: 480_103_981_056 }] }],
        agentBoot: { way: 'virtual-media', macs: [], kernelWords: 'console=ttyS1,115200', network },
        bmc: {
          kind: 'redfish',
          settings: {
            address: 'https://10.0.0.5',
            user: 'admin',
            spki: pin,
            system: '/redfish/v1/Systems/2',
            console: 'ipmi',
            consoleHost: '10.0.0.6',
            consolePort: 6230,
            cipherSuite: 3,
            commandIntervalMs: 0,
          },
          password: 'canary password',
        },
      },
    ],
    [
      'an IPMI BMC by its address',
      [...ipmi, '--bmc-address', '10.0.0.7'],
      { bmc: { kind: 'ipmi', settings: { host: '10.0.0.7', user: 'ADMIN' }, password: 'canary password' } },
    ],
    [
      'an IPMI BMC at another port of an IPv6 address',
      [...ipmi, '--bmc-address', '[fd00::7]:6230', '--cipher-suite', '17'],
      {
        boot: 'legacy',
        agentBoot: { way: 'netboot', macs: ['52:54:00:00:00:0a'], kernelWords: '', network: null },
        bmc: {
          kind: 'ipmi',
          settings: { host: 'fd00::7', port: 6230, user: 'ADMIN', cipherSuite: 17 },
          password: 'canary password',
        },
      },
    ],
  ]
  for (const [what, args, expected] of cases) {
    test(`sends ${what}, and never shows the password`, async (t) => {
      let body: NewServerBody | undefined
      const { env } = await serve(t, {
        'POST /byoi/server': (given) => ((body = given as NewServerBody), null),
        [`GET /byoi/server/${name}`]: () => server(),
      })
      const ran = await byoi(['server', 'add', name, ...args, '--bmc-password-file', passwordFile], env)
      assert.equal(ran.status, 0, ran.stderr)
      for (const [member, value] of Object.entries(expected)) {
        assert.deepEqual(body?.[member as keyof NewServerBody], value, member)
      }
      assert.ok(!(ran.stdout + ran.stderr).includes('canary'))
      assert.equal(ran.stdout.includes(pin), args.includes('redfish') && !args.includes('--bmc-fingerprint'))
    })
  }

  test('takes the password from the environment', async (t) => {
    let body: NewServerBody | undefined
    const { env } = await serve(t, {
      'POST /byoi/server': (given) => ((body = given as NewServerBody), null),
      [`GET /byoi/server/${name}`]: () => server(),
    })
    await byoi(['server', 'add', name, ...redfish, ...netboot], { ...env, BYOI_BMC_PASSWORD: 'from env' })
    assert.equal(body?.bmc.password, 'from env')
  })

  const wrong: [string, string[], RegExp][] = [
    ['no password and nobody to ask', [...redfish, ...netboot], /--bmc-password-file or the variable/],
    ['a password file that is not there', [...redfish, ...netboot, '--bmc-password-file', '/none'], /ENOENT/],
    ['an empty password', [...redfish, ...netboot, '--bmc-password-file', file('empty', '\n')], /empty/],
    ['no address', ['--bmc', 'redfish', '--boot', 'uefi', ...netboot], /'--bmc-address <address>'/],
    ['no way for its agent', [...redfish], /'--agent-boot <way>'/],
    [
      'a MAC address that is none',
      [...redfish, '--agent-boot', 'netboot', '--mac', 'eth0'],
      /no MAC address/,
    ],
    ['a size without a serial number', [...redfish, ...netboot, '--disk-size', '4096'], /--disk-serial/],
    [
      'a network that is no JSON',
      [...redfish, ...netboot, '--network', file('bad.json', '{canary')],
      /is not JSON/,
    ],
    [
      'a network with an unknown member',
      [...redfish, ...netboot, '--network', file('odd.json', '{"x":1}')],
      /x/,
    ],
    [
      'a pin for IPMI',
      [...ipmi, '--bmc-address', 'h', '--bmc-fingerprint', pin],
      /--bmc-fingerprint is for --bmc redfish/,
    ],
    ['an address of no form', [...ipmi, '--bmc-address', 'a:b:c'], /no address/],
    ['a local server without a disk', ['--bmc', 'local', '--boot', 'uefi'], /'--disk <file>'/],
  ]
  for (const [what, args, says] of wrong) {
    test(`with ${what} is wrong usage`, async () => {
      const ran = await byoi(['server', 'add', name, ...args], environment('http://127.0.0.1:1/1.0'))
      assert.equal(ran.status, 2)
      assert.match(ran.stderr, says)
      assert.ok(!ran.stderr.includes('canary'))
    })
  }
})

describe('server set', () => {
  const cases: [string, string[], ServerChangeBody][] = [
    ['a password alone', ['--bmc-password-file', passwordFile], { bmc: { password: 'canary password' } }],
    [
      'an address, keeping the pin',
      ['--bmc-address', 'https://10.0.0.9'],
      { bmc: { settings: { ...server().bmc.settings, address: 'https://10.0.0.9' } } },
    ],
    [
      'the pin that the BMC has now',
      ['--bmc-fingerprint', 'new'],
      { bmc: { settings: { address: 'https://10.0.0.5', user: 'admin', system: '/redfish/v1/Systems/1' } } },
    ],
    [
      'the way of the agent, keeping the rest',
      ['--agent-boot', 'uefi-http'],
      { agentBoot: { way: 'uefi-http', macs: ['52:54:00:00:00:01'], kernelWords: '', network: null } },
    ],
    ['the disks that are found', ['--found-disks'], { diskGroups: [] }],
    [
      'another disk',
      ['--disk-serial', 'S2', '--disk-size', '8589934592'],
      { diskGroups: [{ diskGroupId: 1, disks: [{ serial: 'S2', size: 2 ** 33 }] }] },
    ],
  ]
  for (const [what, args, expected] of cases) {
    test(`changes ${what}`, async (t) => {
      let body: unknown
      const { env } = await serve(t, {
        [`GET /byoi/server/${name}`]: () => server(),
        [`PUT /byoi/server/${name}`]: (given) => ((body = given), null),
      })
      const ran = await byoi(['server', 'set', name, ...args], env)
      assert.equal(ran.status, 0, ran.stderr)
      assert.deepEqual(body, expected)
      assert.ok(!ran.stdout.includes('canary'))
    })
  }

  test('of nothing is wrong usage', async (t) => {
    const { env } = await serve(t, { [`GET /byoi/server/${name}`]: () => server() })
    assert.equal((await byoi(['server', 'set', name], env)).status, 2)
  })
})

const found: NonNullable<ServerAnswer['found']> = {
  at: '2026-11-24T00:00:00Z',
  machine: {
    vendor: 'Dell',
    model: 'R740',
    serial: 'ABC',
    firmware: 'uefi',
    secureBoot: true,
    memory: 2 ** 36,
    cpus: 32,
    nics: [{ name: 'eth0', mac: '52:54:00:00:00:01', driver: 'ixgbe', carrier: true, speed: 10_000 }],
  },
  disks: [
    {
      path: '/dev/nvme0n1',
      serial: 'S1',
      wwn: null,
      size: 2 ** 39,
      sectorSize: 512,
      rotational: false,
      transport: 'nvme',
    },
    {
      path: '/dev/sda',
      serial: 'S9',
      wwn: null,
      size: 2 ** 40,
      sectorSize: 4096,
      rotational: true,
      transport: 'sata',
    },
  ],
}

test('server show tells identity, pin, the way of the agent, and the disks with their groups', async (t) => {
  const diskGroups = [
    { diskGroupId: 3, description: '', size: 2 ** 39, disks: [{ serial: 'S1', wwn: null, size: 2 ** 39 }] },
  ]
  const { env } = await serve(t, { [`GET /byoi/server/${name}`]: () => server({ found, diskGroups }) })
  const { stdout } = await byoi(['server', 'show', name], env)
  for (const line of [
    /^bmc: +redfish address=https:\/\/10\.0\.0\.5 user=admin system=/m,
    /^identity: +Dell R740, serial ABC, BMC firmware 6\.10$/m,
    new RegExp(`^pin: +${pin.replaceAll('+', String.raw`\+`)}$`, 'm'),
    /^agent: +netboot 52:54:00:00:00:01$/m,
    /machine: +Dell R740, serial ABC, 32 CPUs, 64\.0 GiB, uefi with Secure Boot$/m,
    /port: +eth0 52:54:00:00:00:01 ixgbe, 10000 Mbit\/s$/m,
    /disk: +\/dev\/nvme0n1 S1 512 GiB nvme, sectors of 512 bytes, group 3$/m,
    /disk: +\/dev\/sda S9 1\.00 TiB sata, sectors of 4096 bytes, in no group$/m,
  ])
    assert.match(stdout, line)
})

test('server show says how the disks of a new server are found', async (t) => {
  const { env } = await serve(t, { [`GET /byoi/server/${name}`]: () => server() })
  assert.match(
    (await byoi(['server', 'show', name], env)).stdout,
    /^disks: +none yet: .*byoi server inspect/m,
  )
})

test('server inspect --wait follows the inspection, and shows what was found', async (t) => {
  const ended = view({
    kind: 'inspect',
    state: 'done',
    endedAt: '2026-11-24T00:01:00Z',
    notes: ['a finding'],
  })
  const { env } = await serve(t, {
    [`POST /byoi/server/${name}/inspect`]: () => ({ id: 'd-1' }),
    'GET /byoi/deployment/d-1': () => ended,
    [`GET /byoi/server/${name}`]: () => server({ found }),
  })
  const ran = await byoi(['server', 'inspect', name, '--wait'], env)
  assert.equal(ran.status, 0, ran.stderr)
  assert.match(ran.stdout, /^note: +a finding$/m)
  assert.match(ran.stdout, /nvme0n1/)
})

const rescued = view({
  kind: 'rescue',
  state: 'done',
  image: null,
  endedAt: '2026-11-24T00:01:00Z',
  rescue: { addresses: ['10.0.0.5'], hostKeys: ['ssh-ed25519 AAAA'] },
})

test('rescue of a server without a deployment asks for it, and tells how to reach it', async (t) => {
  const { api, env } = await serve(t, {
    [`POST /byoi/server/${name}/rescue`]: () => ({ id: 'd-1' }),
    'GET /byoi/deployment/d-1': () => rescued,
    [`GET /byoi/server/${name}/rescue`]: () => rescued,
  })
  const ran = await byoi(['rescue', name, '--wait'], env)
  assert.equal(ran.status, 0, ran.stderr)
  assert.match(ran.stdout, /in rescue\.\nssh: +root@10\.0\.0\.5\nhost key: +ssh-ed25519 AAAA\n$/)
  assert.deepEqual(api.calls.slice(0, 2), [
    `DELETE /dedicated/server/${name}/bringYourOwnImage`,
    `POST /byoi/server/${name}/rescue`,
  ])
})

test('status of a server without a deployment shows the rescue that it is in', async (t) => {
  const { env } = await serve(t, { [`GET /byoi/server/${name}/rescue`]: () => rescued })
  const { status, stdout } = await byoi(['status', name], env)
  assert.equal(status, 0)
  assert.match(stdout, /^deployment: +d-1 \(rescue\)$/m)
  assert.match(stdout, /^host key: +ssh-ed25519 AAAA$/m)
})
