/**
 * Starts the rescue system in the network namespace that it was started in, with a home of root and a message of the day of its own, since the
 * file system is the whole machine's. Prints the log, then what it would report as JSON, and stays until its standard input ends.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ramServer } from '../ram-server.ts'

const [directory = '', sshKey = ''] = process.argv.slice(2)
const log = (line: string) => process.stdout.write(`${line}\n`)

// `ip netns exec` has given us mounts of our own.
const motd = join(directory, 'motd')
writeFileSync(motd, '')
execFileSync('mount', ['--bind', motd, '/etc/motd'])
execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/root'])
// The name of the host is the whole machine's too.
execFileSync('mount', ['--bind', '/dev/null', '/proc/sys/kernel/hostname'])
execFileSync('ip', ['link', 'set', 'lo', 'up'])

const ending = new AbortController()
process.stdin.resume().on('end', () => {
  ending.abort()
  process.exit()
})
try {
  const server = await ramServer({
    name: 'ns1.example.test',
    sysfs: '/sys',
    directory,
    log,
    signal: ending.signal,
  })
  const order = {
    kind: 'rescue',
    deploymentId: 'd-1',
    epoch: 1,
    sshKey: sshKey === '' ? null : sshKey,
  } as const
  log(JSON.stringify(await server.startRescue(order)))
} catch (error) {
  log(JSON.stringify({ error: (error as Error).message }))
}
