/**
 * Runs the agent's network code in the namespace that it was started in; with a resolver configuration of its own, since the file system is the
 * whole machine's. Prints the log, then `reached`, and stays until its standard input ends.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NetworkConfig } from '@byoi/contract'
import { bringUpNetwork } from '../network.ts'

export interface BringUp {
  config: NetworkConfig | null
  controlUrl: string
  patienceMs: number
  directory: string
}

const log = (line: string) => process.stdout.write(`${line}\n`)

async function main({ config, controlUrl, patienceMs, directory }: BringUp): Promise<void> {
  const resolvConf = join(directory, 'resolv.conf')
  writeFileSync(resolvConf, '')
  // `ip netns exec` has given us mounts of our own.
  execFileSync('mount', ['--bind', resolvConf, '/etc/resolv.conf'])
  const link = await bringUpNetwork({
    config,
    controlUrl,
    patienceMs,
    log,
    signal: new AbortController().signal,
    files: { directory, resolvConf },
  })
  log('reached')
  process.stdin.resume().on('end', () => {
    link.stop()
    process.exit()
  })
}

try {
  await main(JSON.parse(process.argv[2] ?? '') as BringUp)
} catch (error) {
  log(`failed: ${(error as Error).message}`)
  process.exitCode = 1
}
