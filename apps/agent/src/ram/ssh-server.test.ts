import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RescueSystem } from '../agent-server.ts'
import { TestNetwork, namespacesMissing } from './namespaces.fixture.ts'

const tools = { dropbear: 'dropbear-bin', ssh: 'openssh-client', 'ssh-keygen': 'openssh-client' }
const absent = Object.entries(tools).find(([tool]) => spawnSync('which', [tool]).status !== 0)
const skip =
  namespacesMissing() || (absent !== undefined && `${absent[0]} is not installed (Debian: ${absent[1]})`)

interface Ran {
  status: number | null
  stdout: string
  stderr: string
}

interface Rescue {
  network: TestNetwork
  /** What would be reported, or the error. */
  said: RescueSystem & { error?: string }
  /** The log before and after it, as it comes. */
  lines: string[]
  /** Runs a client on the other side of the cable, with `input` on its standard input. */
  ssh: (keyType: string, args: string[], input?: string) => Promise<Ran>
}

/** A server in rescue at 10.77.0.5, for the owner of `owner`'s key; null: the order brings none. */
async function rescue(t: TestContext, owner: string | null): Promise<Rescue> {
  const network = TestNetwork.start(t, 1)
  network.address('lan0')
  network.inServer('link', 'set', 'eth0', 'up')
  network.inServer('addr', 'add', '10.77.0.5/24', 'dev', 'eth0')
  network.inServer('-6', 'addr', 'add', 'fd77::5/64', 'dev', 'eth0', 'nodad')
  const sshKey = owner === null ? '' : readFileSync(`${keyOf(owner)}.pub`, 'utf8').trim()
  const lines: string[] = []
  const { promise, resolve } = Promise.withResolvers<Rescue['said']>()
  network.run('rescue.ts', network.directory, sshKey).on('line', (line) => {
    if (line.startsWith('{')) resolve(JSON.parse(line) as Rescue['said'])
    else lines.push(line)
  })
  const said = await promise
  const knownHosts = join(network.directory, 'known_hosts')
  writeFileSync(knownHosts, said.hostKeys?.map((key) => `10.77.0.5,fd77::5 ${key}\n`).join('') ?? '')
  const ssh: Rescue['ssh'] = async (keyType, args, input = '') => {
    const settings = [
      'IdentitiesOnly=yes',
      'ConnectTimeout=10',
      `UserKnownHostsFile=${knownHosts}`,
      'GlobalKnownHostsFile=none',
      'StrictHostKeyChecking=yes',
      'NumberOfPasswordPrompts=0',
    ]
    const options = ['-F', 'none', '-i', keyOf(keyType), ...settings.flatMap((each) => ['-o', each])]
    const client = spawn('ip', ['netns', 'exec', network.lan, 'ssh', ...options, ...args], {
      timeout: 60_000,
    })
    client.stdin.end(input)
    const exited = once(client, 'exit') as Promise<[number | null]>
    const [stdout, stderr] = await Promise.all([text(client.stdout), text(client.stderr)])
    return { status: (await exited)[0], stdout, stderr }
  }
  return { network, said, lines, ssh }
}

/** Resolves once `condition` holds. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `never came true: ${condition.toString()}`)
    await sleep(50)
  }
}

const keys = mkdtempSync(join(tmpdir(), 'byoi-ssh-keys-'))
const keyTypes = ['ed25519', 'rsa', 'ecdsa']
const keyOf = (type: string): string => join(keys, type)

before(() => {
  for (const type of skip === false ? keyTypes : [])
    spawnSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'a comment', '-f', keyOf(type)])
})
after(() => rmSync(keys, { recursive: true }))

describe('A server in rescue', { concurrency: 2, skip }, () => {
  for (const type of keyTypes) {
    test(`lets in the owner of the order's ${type} key, by the host key that was reported`, async (t) => {
      const { said, ssh, lines } = await rescue(t, type)
      assert.equal(said.error, undefined)
      assert.deepEqual(said.addresses, ['10.77.0.5', 'fd77::5'])
      assert.equal(said.hostKeys.length, 1)
      assert.match(said.hostKeys[0] ?? '', /^ssh-ed25519 [A-Za-z0-9+/=]+$/)
      const ran = await ssh(type, ['root@10.77.0.5', 'id -u; pwd'])
      assert.deepEqual([ran.stdout, ran.status], ['0\n/root\n', 0], ran.stderr)
      assert.equal((await ssh(type, ['root@fd77::5', 'true'])).status, 0)
      await until(() => lines.some((line) => line.startsWith("SSH: Pubkey auth succeeded for 'root'")))
    })
  }

  test('lets in nobody else: not by another key, nor by a password, nor as another user', async (t) => {
    const { ssh } = await rescue(t, 'ed25519')
    for (const [key, user] of [
      ['rsa', 'root'],
      ['ed25519', 'nobody'],
    ] as const) {
      const ran = await ssh(key, [`${user}@10.77.0.5`, 'true'])
      assert.notEqual(ran.status, 0)
      assert.match(ran.stderr, /Permission denied \(publickey\)/)
    }
  })

  test('shows what it is, whose server it is, and which disks there are', async (t) => {
    const { network, ssh } = await rescue(t, 'ed25519')
    const shown = readFileSync(join(network.directory, 'motd'), 'utf8')
    assert.match(shown, /byoi's rescue system, in the RAM of ns1\.example\.test\./)
    assert.match(shown, /^Disks:\n {2}\S/m)
    const { stdout } = await ssh('ed25519', ['-tt', 'root@10.77.0.5'], 'exit\n')
    assert.ok(stdout.replaceAll('\r', '').includes(shown), stdout)
  })

  test('starts its SSH server again when that ends, with the same host key', async (t) => {
    const { network, ssh, lines } = await rescue(t, 'ed25519')
    const [server] = processesNamed('dropbear', network)
    assert.ok(server)
    process.kill(server, 'SIGKILL')
    await until(() => lines.includes('The SSH server has ended (status SIGKILL) and is started again.'))
    await until(async () => (await ssh('ed25519', ['root@10.77.0.5', 'true'])).status === 0)
  })

  test('has no SSH where the order brings no key, and says so', async (t) => {
    const { network, said, lines } = await rescue(t, null)
    assert.deepEqual(said, { hostKeys: [], addresses: [] })
    assert.deepEqual(processesNamed('dropbear', network), [])
    assert.match(lines.join('\n'), /^The order brings no SSH key: nobody can log in\.$/m)
  })
})

/** Process ids of programs of a name in the server's namespace. */
function processesNamed(name: string, { server }: TestNetwork): number[] {
  const { stdout } = spawnSync('ip', ['netns', 'pids', server], { encoding: 'utf8' })
  const pids = stdout.split('\n').filter((pid) => pid !== '')
  return pids.filter((pid) => readdirSync('/proc').includes(pid) && commOf(pid) === name).map(Number)
}

const commOf = (pid: string): string => readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
