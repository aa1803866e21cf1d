/** In place of the agent, for tests of the ramdisk alone: prints what it finds in the server's RAM, and ends. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'

const uptime = (): number => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
const started = uptime()

const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8').trim() : '')
const secureBoot = '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c'

const thread = new Worker('require("node:worker_threads").parentPort.postMessage("runs")', { eval: true })
const threadSays = await new Promise((resolve) => thread.once('message', resolve))

const facts = {
  /** Seconds from the kernel's start until this program ran. */
  started,
  memoryAvailable: Number(/^MemAvailable: +(\d+) kB$/m.exec(read('/proc/meminfo'))?.[1]) * 1024,
  medium: read('/etc/byoi/medium.json'),
  words: read('/proc/cmdline'),
  thread: threadSays,
  disks: readdirSync('/sys/block').filter((name) => !/^(?:loop|ram)/.test(name)),
  ports: readdirSync('/sys/class/net').filter((name) => name !== 'lo'),
  secureBoot: existsSync(secureBoot) && readFileSync(secureBoot)[4] === 1,
  machine: process.arch,
}
process.stdout.write(`probe: ${JSON.stringify(facts)}\n`)
