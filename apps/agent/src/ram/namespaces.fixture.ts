/** Two network namespaces: a server's, with ports eth0, eth1 ..., and that of the network on the other side of its cables. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Interface, createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BringUp } from './testing/bring-up.ts'

let made = 0

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' })

/** null, or why there is nothing to test with here. `kinds`: of links that the kernel must know. */
export function namespacesMissing(...kinds: string[]): string | false {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const [command, name] of [
    ['busybox', 'busybox-static'],
    ['dnsmasq', 'dnsmasq-base'],
    ['ip', 'iproute2'],
  ] as const) {
    try {
      execFileSync('which', [command], { stdio: 'pipe' })
    } catch {
      return `${command} is not installed (Debian: ${name})`
    }
  }
  const name = `byoi-probe-${process.pid}`
  try {
    ip('netns', 'add', name)
    ip('-n', name, 'link', 'add', 'a0', 'type', 'veth', 'peer', 'name', 'b0')
    for (const kind of kinds) {
      const more =
        kind === 'vlan' ? ['link', 'a0', 'name', 'c0', 'type', 'vlan', 'id', '5'] : ['c1', 'type', kind]
      ip('-n', name, 'link', 'add', ...more)
    }
    return false
  } catch {
    return `this kernel has not all of ${['namespaces', 'veth', ...kinds].join(', ')}`
  } finally {
    try {
      ip('netns', 'del', name)
    } catch {
      // It was never there.
    }
  }
}

export class TestNetwork {
  readonly directory = mkdtempSync(join(tmpdir(), 'byoi-network-'))
  readonly server: string
  readonly lan: string
  readonly #children: ChildProcess[] = []

  private constructor() {
    made += 1
    const name = `byoi-${process.pid}-${made}`
    this.server = `${name}-server`
    this.lan = `${name}-lan`
  }

  /** With `ports` cables: `eth0` of the server to `lan0` of the network, and so on. The network's ends are up. */
  static start(t: TestContext, ports: number): TestNetwork {
    const network = new TestNetwork()
    t.after(() => network.#stop())
    for (const name of [network.server, network.lan]) ip('netns', 'add', name)
    for (let at = 0; at < ports; at++) {
      ip(
        '-n',
        network.server,
        'link',
        'add',
        `eth${at}`,
        'type',
        'veth',
        'peer',
        'name',
        `lan${at}`,
        'netns',
        network.lan,
      )
      network.inLan('link', 'set', `lan${at}`, 'up')
    }
    return network
  }

  inLan(...args: string[]): string {
    return ip('-n', this.lan, ...args)
  }

  inServer(...args: string[]): string {
    return ip('-n', this.server, ...args)
  }

  /** What busybox's ping says after three packets. */
  ping(address: string): string {
    const program = ['busybox', 'ping', '-c', '3', address]
    return execFileSync('ip', ['netns', 'exec', this.server, ...program], { encoding: 'utf8' })
  }

  /** Puts ends of cables onto one bridge, 10.77.0.1/24 and fd77::1/64. */
  bridge(...ends: string[]): void {
    this.inLan('link', 'add', 'br0', 'type', 'bridge')
    for (const end of ends) this.inLan('link', 'set', end, 'master', 'br0')
    this.address('br0')
  }

  address(link: string): void {
    this.inLan('link', 'set', link, 'up')
    this.inLan('addr', 'add', '10.77.0.1/24', 'dev', link)
    this.inLan('-6', 'addr', 'add', 'fd77::1/64', 'dev', link, 'nodad')
  }

  /**
   * DNS for control.example.test by dnsmasq on a link, and DHCP or router advertisements with it. Its port 53 takes TCP connections too: to the
   * agent that is the control plane.
   */
  async serve(link: string, ...options: string[]): Promise<void> {
    const common = ['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--no-ping']
    const own = [`--interface=${link}`, '--bind-interfaces', '--user=root', '--pid-file', '--log-facility=-']
    const name = '--address=/control.example.test/10.77.0.1'
    const leases = `--dhcp-leasefile=${join(this.directory, 'leases')}`
    const child = spawn(
      'ip',
      ['netns', 'exec', this.lan, 'dnsmasq', ...common, ...own, name, leases, ...options],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    this.#children.push(child)
    for await (const line of createInterface(child.stderr)) if (line.includes('started')) break
    child.stderr.resume()
  }

  /** Runs a program of `testing/` in the server's namespace, which ends with its standard input. Its lines of output. */
  run(program: string, ...args: string[]): Interface {
    const argv = [process.execPath, join(import.meta.dirname, 'testing', program), ...args]
    const child = spawn('ip', ['netns', 'exec', this.server, ...argv], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#children.push(child)
    return createInterface(child.stdout)
  }

  /** Runs the agent's network code in the server's namespace until it says that it has reached the control plane, or has failed. */
  async bringUp(changes: Partial<BringUp>): Promise<string[]> {
    const options: BringUp = {
      config: null,
      controlUrl: 'https://control.example.test:53',
      patienceMs: 120_000,
      directory: this.directory,
      ...changes,
    }
    const lines: string[] = []
    for await (const line of this.run('bring-up.ts', JSON.stringify(options))) {
      lines.push(line)
      if (line === 'reached' || line.startsWith('failed')) break
    }
    return lines
  }

  /** Addresses of a link of the server, but those of its link alone. */
  addresses(link: string): string[] {
    const [found] = JSON.parse(ip('-n', this.server, '-j', 'addr', 'show', 'dev', link)) as [
      { addr_info: { local: string; prefixlen: number; scope: string }[] },
    ]
    return found.addr_info
      .filter(({ scope }) => scope === 'global')
      .map((it) => `${it.local}/${it.prefixlen}`)
  }

  /** `via GATEWAY dev LINK` of each default route of the server. */
  defaultRoutes(family: '-4' | '-6'): string[] {
    const routes = JSON.parse(ip('-n', this.server, '-j', family, 'route', 'show', 'default')) as {
      gateway: string
      dev: string
    }[]
    return routes.map(({ gateway, dev }) => `via ${gateway} dev ${dev}`)
  }

  links(): { ifname: string; mtu: number; operstate: string }[] {
    return JSON.parse(ip('-n', this.server, '-j', 'link')) as {
      ifname: string
      mtu: number
      operstate: string
    }[]
  }

  /** Resolves once so many ports of the agent's bond have agreed with the other side to be one (IEEE 802.1AX). */
  async untilBonded(ports: number): Promise<void> {
    const argv = ['netns', 'exec', this.server, 'cat', '/proc/net/bonding/byoi-bond']
    while (!ip(...argv).includes(`Number of ports: ${ports}\n`)) await sleep(500)
  }

  resolvConf(): string {
    return readFileSync(join(this.directory, 'resolv.conf'), 'utf8')
  }

  async #stop(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null) continue
      const exited = once(child, 'exit')
      if (child.stdin === null) child.kill()
      else child.stdin.end()
      await exited
    }
    for (const name of [this.server, this.lan]) ip('netns', 'del', name)
    rmSync(this.directory, { recursive: true })
  }
}
