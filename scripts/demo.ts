/** `npm run demo`: from nothing to a deployed and proved disk on this machine, in minutes. See --help. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { type DeploymentView } from '@byoi/contract'
import { ControlPlane } from './control-plane.ts'
import { debianImage } from './debian-image.ts'
import { ensureTools, findTool, widenPath } from './debian-packages.ts'
import { follow } from './demo/follow.ts'
import { freshFolder, leaveFolder } from './demo/folder.ts'
import { readOptions, usage, UsageError, type DemoOptions } from './demo/options.ts'
import { proveConfigDrive, proveDisk, proveStatus, showProofs, type Wanted } from './demo/proof.ts'
import { ovhCall, type ApiKey } from './ovh-call.ts'
import { writeOvhConf } from './ovh-conf.ts'
import { command } from './run-command.ts'

const server = 'ns1.example.test'
const account = 'demo'
const diskBytes = 12 * 1024 ** 3
const route = `/dedicated/server/${server}/bringYourOwnImage`

const tools = {
  'qemu-img': 'qemu-utils',
  sfdisk: 'fdisk',
  sgdisk: 'gdisk',
  xorriso: 'xorriso',
  'cloud-init': 'cloud-init',
  curl: 'curl',
  'ssh-keygen': 'openssh-client',
}

interface Image {
  /** Absent where the image is somewhere else and cannot be compared. */
  file: string | undefined
  url: string
  type: DemoOptions['type']
  checksum: { type: string; value: string } | undefined
}

/** What is running and must be stopped, whatever happens. */
const running: { control?: ControlPlane; images?: ChildProcess; folder?: string } = {}

async function stopAll(): Promise<void> {
  running.images?.kill('SIGTERM')
  await running.control?.stop()
  if (running.folder !== undefined) await leaveFolder(running.folder)
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Starts the image server as its own process, as an image server is one in real life. Gives the file's URL. */
async function serveImage(path: string): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'image-server.ts'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.images = child
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith('listening '))
      return `${line.slice('listening '.length)}/${encodeURIComponent(path.split('/').at(-1) ?? '')}`
  }
  throw new Error('the image server did not start')
}

async function findImage(options: DemoOptions): Promise<Image> {
  if (options.image !== undefined && /^https?:\/\//.test(options.image)) {
    return { file: undefined, url: options.image, type: options.type, checksum: options.checksum }
  }
  const file = options.image ?? (await debianImage({ log: (line) => console.log(`      ${line}`) })).path
  const checksum = options.checksum ?? { type: 'sha256', value: await sha256(file) }
  return { file, url: await serveImage(file), type: options.type, checksum }
}

async function sshKey(folder: string): Promise<string> {
  const path = join(folder, 'id_ed25519')
  if (findTool('ssh-keygen') === undefined) {
    // A public key of nobody: the config drive is shown, but nobody can log in with it.
    const blob = Buffer.concat([Buffer.from('\0\0\0\u000Bssh-ed25519\0\0\0 '), Buffer.alloc(32, 1)])
    return `ssh-ed25519 ${blob.toString('base64')} demo`
  }
  await command('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'demo', '-f', path])
  return (await readFile(`${path}.pub`, 'utf8')).trim()
}

function showCalls(conf: string, control: ControlPlane, request: string): void {
  const tool = relative(process.cwd(), join(import.meta.dirname, 'signed-curl'))
  const call = `${tool} --conf ${conf} --cacert ${control.caPath}`
  console.log(`
The three calls, as they were made (they work while this demo runs):

  ${call} POST ${route} @${request}
  ${call} GET ${route}
  ${call} DELETE ${route}
`)
}

function showFailure(view: DeploymentView, folder: string): void {
  console.error(`The deployment ended in ${view.state} while in ${view.phase}.`)
  if (view.error !== null) {
    console.error(
      `  message: ${view.error.message}\n  cause:   ${view.error.cause}\n  remedy:  ${view.error.remedy}`,
    )
  }
  if (view.hold !== null) console.error(`  hold:    ${view.hold}`)
  for (const line of view.log.slice(-10)) console.error(`  log:     ${line}`)
  console.error(`  logs:    ${folder}/control.log`)
}

async function deploy(control: ControlPlane, key: ApiKey, image: Image, wanted: Wanted): Promise<object> {
  const body = {
    URL: image.url,
    type: image.type,
    ...(image.checksum === undefined
      ? {}
      : { checkSum: image.checksum.value, checkSumType: image.checksum.type }),
    description: 'demo',
    configdrive: {
      enable: true,
      hostname: wanted.hostname,
      sshKey: wanted.sshKey,
      userData: wanted.userData,
      userMetadatas: Object.entries(wanted.metadata).map(([name, value]) => ({ key: name, value })),
    },
  }
  const answer = await ovhCall(control.url, control.caPath, { key, method: 'POST', path: route, body })
  if (!answer.ok) throw new Error(`POST ${route} was refused (${answer.status}): ${answer.message}`)
  return body
}

async function prove(
  control: ControlPlane,
  key: ApiKey,
  image: Image,
  disk: string,
  wanted: Wanted,
  folder: string,
): Promise<boolean> {
  const status = await ovhCall(control.url, control.caPath, { key, method: 'GET', path: route })
  const expected = image.checksum?.type === 'sha256' ? image.checksum.value : undefined
  const format = image.type === 'ova' ? undefined : image.type
  const content =
    image.file === undefined || format === undefined
      ? [
          {
            what: 'the disk holds the image',
            result: 'unknown' as const,
            detail: 'no local qcow2 or raw file to compare with',
          },
        ]
      : await proveDisk(disk, image.file, format, folder)
  return showProofs([proveStatus(status, expected), ...content, await proveConfigDrive(disk, wanted)])
}

/** The story. True when every proof that could be made holds. */
async function demo(options: DemoOptions): Promise<boolean> {
  console.log('[1/6] Tools')
  await ensureTools(tools, 'for the demo')
  const folder = await freshFolder(options.data)
  running.folder = folder
  console.log('[2/6] Image')
  const image = await findImage(options)
  console.log(`      ${image.url}`)
  console.log('[3/6] Control plane')
  const control = new ControlPlane({ data: join(folder, 'control') })
  running.control = control
  await control.start()
  console.log(`      ${control.url} (state and logs in ${folder})`)
  console.log(
    `[4/6] Server ${server}: a disk file of 12 GiB that takes only the room it uses; a key for account ${account}`,
  )
  const disk = join(folder, `${server}.disk`)
  await writeFile(disk, '')
  await truncate(disk, diskBytes)
  await control.addServer(server, { account, disk, size: diskBytes })
  const key = await control.createKey(account)
  const wanted: Wanted = {
    hostname: 'demo-1',
    sshKey: await sshKey(folder),
    userData: '#cloud-config\nruncmd:\n  - [touch, /var/tmp/deployed-by-byoi]\n',
    metadata: { role: 'demo' },
  }
  console.log(`[5/6] POST ${route}, through OVHcloud's npm client`)
  const begin = Date.now()
  const request = join(folder, 'request.json')
  await writeFile(request, JSON.stringify(await deploy(control, key, image, wanted)))
  const view = await follow(control.client(key), server)
  if (view.state !== 'done') {
    showFailure(view, folder)
    return false
  }
  console.log(`      done in ${((Date.now() - begin) / 1000).toFixed(1)} s`)
  console.log('[6/6] Proof')
  const proved = await prove(control, key, image, disk, wanted, folder)
  showCalls(await writeOvhConf(folder, control.url, key), control, request)
  console.log(
    `Next: README.md tells how to add a real server; ./byoi --help lists the commands; ARCHITECTURE.md tells how it works.`,
  )
  return proved
}

async function main(): Promise<number> {
  widenPath()
  const options = readOptions(process.argv.slice(2), process.stdout.isTTY && process.stdin.isTTY)
  if (options === undefined) return 0
  const stopped = new Promise<'stopped'>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => resolve('stopped'))
  })
  try {
    const result = await Promise.race([demo(options), stopped])
    if (result === 'stopped') return 130
    if (result && options.keep) {
      console.log('Ctrl-C stops everything.')
      // Signals alone do not keep a program running.
      const alive = setInterval(() => undefined, 60_000)
      await stopped
      clearInterval(alive)
    }
    return result ? 0 : 1
  } finally {
    await stopAll()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${usage}`)
  else console.error(error instanceof Error ? error.message : error)
  if (running.folder !== undefined) console.error(`Logs: ${running.folder}/control.log`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
process.exit()
