import { spawn } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { isSshPublicKey } from '@byoi/contract'
import type { RescueSystem } from '../agent-server.ts'
import { backoff, pause } from '../backoff.ts'
import { type Log, sentenceOf } from '../log.ts'
import { opens } from './reach.ts'
import { run } from './run.ts'

const port = 22
/** How long the server may take until it listens, in ms. */
const startMs = 10_000
/** What the protocol takes. */
const mostAddresses = 16

export interface SshServerOptions {
  /** The only key that logs in, as root; a public key line. */
  authorizedKey: string
  /** Root's home directory, by the password file: dropbear looks for the key there. */
  home: string
  /** For the host key: RAM that is lost with the power. */
  directory: string
  log: Log
  /** Ends the server. */
  signal: AbortSignal
}

/**
 * Starts dropbear on port 22 of all addresses, with a host key of its own, made now: root logs in by the key and by nothing else. Rejects with
 * one sentence when it does not start.
 */
export async function startSshServer(options: SshServerOptions): Promise<RescueSystem> {
  const { authorizedKey, home, directory } = options
  if (!isSshPublicKey(authorizedKey)) throw new Error('The SSH key of the order is no public key.')
  const ssh = join(home, '.ssh')
  await mkdir(ssh, { recursive: true, mode: 0o700 })
  // dropbear takes no key from directories that others may write to.
  for (const folder of [home, ssh]) await chmod(folder, 0o700)
  await writeFile(join(ssh, 'authorized_keys'), `${authorizedKey}\n`, { mode: 0o600 })
  const hostKeyFile = join(directory, 'ssh_host_ed25519_key')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const hostKey = publicKeyIn(await run(['dropbearkey', '-t', 'ed25519', '-f', hostKeyFile]))
  void keepRunning(hostKeyFile, options)
  const failure = await untilListening(options.signal)
  if (failure !== null) throw new Error(`The SSH server does not listen: ${failure}.`)
  return { hostKeys: [hostKey], addresses: globalAddresses() }
}

/** null, or why not. */
async function untilListening(signal: AbortSignal): Promise<string | null> {
  const until = performance.now() + startMs
  for (;;) {
    const failure = await opens('127.0.0.1', port)
    if (failure === null || performance.now() > until) return failure
    await pause(100, signal)
  }
}

/** The line of dropbearkey's output that OpenSSH's known_hosts takes, without its comment. */
function publicKeyIn(output: string): string {
  const line = output.split('\n').find((each) => each.startsWith('ssh-ed25519 '))
  const key = line?.split(' ').slice(0, 2).join(' ')
  if (key === undefined || !isSshPublicKey(key)) throw new Error('dropbearkey gave no public key.')
  return key
}

async function keepRunning(hostKeyFile: string, { log, signal }: SshServerOptions): Promise<void> {
  const wait = backoff(signal)
  while (!signal.aborted) {
    const ended = await runDropbear(hostKeyFile, log, signal).catch(sentenceOf)
    if (signal.aborted) return
    log(`The SSH server has ended (${ended}) and is started again.`)
    await wait().catch(() => undefined)
  }
}

/** dropbear(8): in the foreground, log on standard error, no passwords, nobody's but this host key, no forwarding of ports. */
const dropbear = ['-F', '-E', '-s', '-j', '-k', '-p', String(port)]

/** Resolves with how it ended. */
async function runDropbear(hostKeyFile: string, log: Log, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const server = spawn('dropbear', [...dropbear, '-r', hostKeyFile], {
    stdio: ['ignore', 'ignore', 'pipe'],
    signal,
  })
  server.on('error', reject)
  server.on('exit', (status, killed) => resolve(`status ${status ?? killed}`))
  createInterface(server.stderr).on('line', (line) => {
    // The rest is what everybody's scanners leave behind; a slow serial line must not be held by it.
    const login = /Pubkey auth succeeded for .*/.exec(line)
    if (login !== null) log(`SSH: ${login[0]}`)
  })
  return promise
}

/** Addresses by which others can reach this server. */
function globalAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const global = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  return global.map(({ address }) => address).slice(0, mostAddresses)
}
