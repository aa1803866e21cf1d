/**
 * Runs the scenarios of `rebinding.ts` in a network and mount namespace of its own, with the system's resolver asking a DNS
 * server of ours and the rules of production. Prints one line of JSON for each.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AddressPolicy } from '../address-policy.ts'
import { deploy, image, staged } from './deploying.ts'
import { type DnsScript, dnsServer } from './dns-server.ts'
import { failure, open } from './fetching.ts'
import { ADDRESSES, deadAndPrivate, type Scenario, scenarios } from './rebinding.ts'
import { fileHandler, type Handler, scriptedServer, type ScriptedServer } from './scripted-server.ts'

export interface Outcome {
  cause: string | null
  disk: string
  reached: string[]
  /** Attempts to connect by TCP that the kernel counted. */
  opens: number
}

const policy: AddressPolicy = { allow: [], deny: [], allowPrivate: false, denyPorts: [] }

function prepareNamespace(): void {
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  for (const address of ADDRESSES) execFileSync('ip', ['addr', 'add', address, 'dev', 'lo'])
  const folder = mkdtempSync(join(tmpdir(), 'byoi-resolver-'))
  const file = join(folder, 'resolv.conf')
  writeFileSync(file, 'nameserver 127.0.0.1\noptions timeout:2 attempts:2\n')
  execFileSync('mount', ['--bind', file, '/etc/resolv.conf'])
  rmSync(folder, { recursive: true }) // the mount keeps the file
}

/** Of this namespace: `ActiveOpens` of TCP, for both families. */
function tcpOpens(): number {
  const [names = '', values = ''] = readFileSync('/proc/self/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
  return Number(values.split(' ')[names.split(' ').indexOf('ActiveOpens')])
}

const handlers: Record<Scenario['ends'], () => Handler> = {
  well: () => staged({}),
  opened: () => staged({ look: (_, socket) => void socket.destroy() }),
  body: () => fileHandler(image, { cut: { how: 'end', at: 1_000_000 } }),
}

async function observed(
  handler: Handler,
  dns: DnsScript,
  run: (server: ScriptedServer) => Promise<{ cause: string | null; disk: string }>,
): Promise<Outcome> {
  await using server = await scriptedServer(handler, undefined, '::')
  await using _resolver = await dnsServer(dns, '127.0.0.1', 53)
  const before = tcpOpens()
  const ended = await run(server)
  return { ...ended, reached: [...new Set(server.reached)], opens: tcpOpens() - before }
}

prepareNamespace()
for (const { dns, ends } of scenarios) {
  const outcome = await observed(handlers[ends](), dns, async ({ port }) => {
    const { error, result } = await deploy(`http://img.test:${port}/x`, {}, { addressPolicy: policy })
    return { cause: error?.cause ?? null, disk: (error ?? result)?.disk ?? '' }
  })
  process.stdout.write(`${JSON.stringify(outcome)}\n`)
}
const last = await observed(staged({}), deadAndPrivate, async ({ port }) => {
  const error = await failure(open(`http://img.test:${port}/x`, { policy, limits: { retryBudgetMs: 100 } }))
  return { cause: error.cause, disk: 'untouched' }
})
process.stdout.write(`${JSON.stringify(last)}\n`)
