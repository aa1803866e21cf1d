/** `npm run lab`: from nothing to two virtual dedicated servers that run a deployed Debian. See --help. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { debianImage } from './debian-image.ts'
import { ensureTools, widenPath } from './debian-packages.ts'
import { imageServer, type ImageServer } from './image-server.ts'
import { lastWord, type OwnWords, proofUserData, readOwnWords } from './lab/own-words.ts'
import { makeSshKey, ssh, sshArguments, type SshKey } from './lab/ssh.ts'
import { stepsOf, Times } from './lab/times.ts'
import { labTools } from './lab/tools.ts'
import { inGuest, VirtualLab, type VirtualServer } from './lab/virtual-lab.ts'
import { tryCommand } from './run-command.ts'

const usage = `npm run lab [-- OPTIONS]

Starts two virtual dedicated servers on this machine (QEMU, emulated; one with UEFI and Redfish, one with a BIOS and IPMI) and a control
plane, deploys a Debian image onto both through OVHcloud's own npm client, and lets both prove themselves. Needs no hardware.

  --data DIR   folder for its state, which must be new or of an earlier lab (default: /var/lib/byoi-lab)
  --keep       stay up afterwards (default on a terminal)
  --once       end afterwards (default without a terminal)
`

const minute = 60_000
const bootMs = 15 * minute
const deployMs = 15 * minute

interface Image {
  url: string
  sha256: string
}

/** What is running and must be stopped, whatever happens. */
const running: { lab?: VirtualLab; images?: ImageServer } = {}
const times = new Times()

async function serveImage(): Promise<Image> {
  const { path } = await debianImage({
    layout: { table: 'gpt', sectorSize: 512 },
    log: (line) => console.log(`      ${line}`),
  })
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  running.images = await imageServer([path])
  return { url: inGuest(running.images.urlOf(path)), sha256: hash.digest('hex') }
}

async function startServers(folder: string): Promise<VirtualServer[]> {
  // What an earlier run has left, if it was killed.
  await tryCommand(join(import.meta.dirname, '..', 'byoi'), ['lab', 'down', '--data', folder])
  running.lab = await VirtualLab.up(folder, '--memory', '1024')
  running.lab = await VirtualLab.up(folder, '--memory', '1024', '--boot', 'legacy', '--bmc', 'ipmi')
  return await running.lab.servers()
}

interface Proved {
  server: VirtualServer
  words: OwnWords
  /** Host name as the one told who logged in with the key. */
  login: string
}

async function deployTo(server: VirtualServer, hostname: string, image: Image, key: SshKey): Promise<Proved> {
  const configdrive = {
    enable: true,
    hostname,
    sshKey: key.line,
    userData: proofUserData,
    userMetadatas: [{ key: 'role', value: 'lab' }],
  }
  await server.deploy({
    URL: image.url,
    type: 'qcow2',
    checkSum: image.sha256,
    checkSumType: 'sha256',
    configdrive,
  })
  let phase = ''
  const view = await server.watch('end of the deployment', deployMs, (now) => {
    if (now.phase !== phase) console.log(`      ${server.name}: ${now.phase}`)
    phase = now.phase
    return now.state === 'open' ? undefined : now
  })
  times.add(stepsOf(view))
  if (view.state !== 'done') {
    const { message, cause, remedy } = view.error ?? { message: view.hold, cause: '', remedy: '' }
    throw new Error(`${server.name} ended in ${view.state}: ${message} ${cause} ${remedy}`)
  }
  await times.take(`${server.name}: first boot to the end of cloud-init`, () => server.says(lastWord, bootMs))
  const words = readOwnWords(await server.serial())
  const hostKey = await server.says(new RegExp(`^ssh-ed25519 \\S+ root@${hostname}$`, 'm'), bootMs)
  const login = await times.take(`${server.name}: login by SSH`, () =>
    ssh(server, 'debian', key, hostKey, 'hostname'),
  )
  return { server, words, login: login.trim() }
}

function show({ server, words, login }: Proved, hostname: string, key: SshKey): boolean {
  const size = server.plan.disks[0]?.size ?? 0
  const proofs = [
    { what: 'host name', holds: words.hostname === hostname, said: words.hostname },
    { what: 'SSH key', holds: words.key === key.blob, said: `ssh-ed25519 ${words.key}` },
    { what: 'login with that key', holds: login === hostname, said: login },
    { what: 'metadata', holds: words.metadata === 'lab', said: words.metadata },
    { what: 'root file system grown', holds: Number(words.root) > size * 0.9, said: `${words.root} bytes` },
    { what: 'started by', holds: words.firmware !== '', said: words.firmware },
  ]
  console.log(`      ${server.name} says of itself:`)
  for (const { what, holds, said } of proofs) {
    console.log(`        ${holds ? 'holds' : 'FAILS'}  ${what}: ${said}`)
  }
  return proofs.every(({ holds }) => holds)
}

/** The story. True when every server has proved itself. */
async function lab(folder: string): Promise<boolean> {
  console.log('[1/5] Tools')
  const missing = await times.take('tools', async () => ensureTools(await labTools(), 'for the lab'))
  if (missing.length > 0) return false
  console.log('[2/5] A Debian image')
  const image = await times.take('image', serveImage)
  console.log('[3/5] Ramdisk, control plane, two servers')
  const servers = await times.take('ramdisk, control plane, servers', () => startServers(folder))
  const key = await makeSshKey(folder)
  console.log(
    `[4/5] POST /dedicated/server/{${servers.map(({ name }) => name).join(', ')}}/bringYourOwnImage`,
  )
  const hostname = (server: VirtualServer) => server.name.replaceAll('.', '-')
  // Both at once: each keeps one processor busy.
  const proved = await times.take('both deployed and booted', () =>
    Promise.all(servers.map((server) => deployTo(server, hostname(server), image, key))),
  )
  console.log('[5/5] Proof')
  const holds = proved.map((each) => show(each, hostname(each.server), key))
  console.log('\n      Times:')
  times.print()
  for (const server of servers) {
    console.log(`\n  ssh ${sshArguments(server, 'debian', key).join(' ')}`)
  }
  console.log(
    `  ./byoi lab status --data ${folder}\n  ./byoi console ${servers[0]?.name} --data ${folder}/control\n`,
  )
  return holds.every(Boolean)
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      data: { type: 'string', default: '/var/lib/byoi-lab' },
      keep: { type: 'boolean' },
      once: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    console.log(usage)
    return 0
  }
  widenPath()
  const keep = values.keep ?? (values.once === true ? false : process.stdout.isTTY && process.stdin.isTTY)
  await mkdir(values.data, { recursive: true })
  await chmod(values.data, 0o711)
  const stopped = new Promise<'stopped'>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => resolve('stopped'))
  })
  try {
    const result = await Promise.race([lab(values.data), stopped])
    if (result === 'stopped') return 130
    if (result && keep) {
      console.log('Ctrl-C takes everything down.')
      // Signals alone do not keep a program running.
      const alive = setInterval(() => undefined, minute)
      await stopped
      clearInterval(alive)
    }
    return result ? 0 : 1
  } finally {
    await running.images?.close()
    await tryCommand(join(import.meta.dirname, '..', 'byoi'), ['lab', 'down', '--data', values.data])
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
process.exit()
