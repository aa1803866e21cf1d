import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { makeServerPlan } from './make-server-plan.ts'
import { type ServerPlan } from './server-plan.ts'
import { supervise, type Supervised } from './supervise.ts'
import { type After, bootSector } from './testing/boot-sector.ts'
import { absentPrograms, smallServer, waitFor } from './testing/judges.ts'

const run = promisify(execFile)
const skip = absentPrograms(
  ...['qemu-system-x86_64', 'ipmi_sim', 'ipmitool', 'xorriso', 'curl'].map((each) => `/usr/bin/${each}`),
)

describe('A virtual server', { skip }, () => {
  let folder: string
  let plan: ServerPlan
  let server: Supervised
  let web: Server
  let base: string
  const log: string[] = []

  const serial = async () => await readFile(join(plan.folder, 'serial.log'), 'latin1').catch(() => '')
  /** Waits until the word was said once more than `times`. */
  const said = (word: string, times = 0) =>
    waitFor(`"${word}" on the serial line`, async () =>
      (await serial()).split(`${word}\n`).length - 1 > times ? true : undefined,
    )
  const timesSaid = async (word: string) => (await serial()).split(`${word}\n`).length - 1
  const write = async (path: string, word: string, then: After) => {
    await writeFile(path, bootSector(word, then))
    await truncate(path, 1024 * 1024)
  }
  const ipmi = async (...args: string[]): Promise<string> => {
    const options = ['-I', 'lanplus', '-C', '3', '-H', '127.0.0.1', '-p', String(plan.ports.ipmi)]
    const env = { ...process.env, IPMITOOL_PASSWORD: plan.bmc.password }
    const { stdout } = await run('ipmitool', [...options, '-U', plan.bmc.user, '-E', ...args], { env })
    return stdout.trim()
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'byoi-lab-'))
    const content: Record<string, Buffer> = {
      '/boot.ipxe': Buffer.from('#!ipxe\necho from the network\nshell\n'),
    }
    web = createServer((request, response) => {
      const body = content[request.url ?? '']
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
      if (body === undefined) response.writeHead(404).end()
      else if (range === null)
        response.writeHead(200, { 'Accept-Ranges': 'bytes', 'Content-Length': body.length }).end(body)
      else {
        const [from, to] = [Number(range[1]), Math.min(Number(range[2]), body.length - 1)]
        response
          .writeHead(206, { 'Content-Range': `bytes ${from}-${to}/${body.length}` })
          .end(body.subarray(from, to + 1))
      }
    })
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    base = `http://127.0.0.1:${(web.address() as AddressInfo).port}`
    plan = await makeServerPlan('ns1.lab.test', folder, {
      ...smallServer,
      netbootUrl: `${base.replace('127.0.0.1', '10.0.2.2')}/boot.ipxe`,
    })
    server = await supervise(plan, (line) => log.push(line))
    for (const disk of plan.disks) await write(disk.path, 'another disk', 'halt')
    const tree = join(folder, 'tree')
    await run('mkdir', [tree])
    await writeFile(join(tree, 'boot.bin'), bootSector('from the CD', 'halt'))
    const boot = ['-b', 'boot.bin', '-no-emul-boot', '-boot-load-size', '1']
    await run('xorriso', ['-as', 'mkisofs', '-quiet', ...boot, '-o', join(folder, 'cd.iso'), tree])
    content['/cd.iso'] = await readFile(join(folder, 'cd.iso'))
  })
  after(async () => {
    await server.close()
    web.close()
    await rm(folder, { recursive: true, force: true })
  })

  test('starts from its first disk when nothing is set', async () => {
    await write(plan.disks[0]!.path, 'from the disk', 'halt')
    assert.equal(await ipmi('chassis', 'power', 'status'), 'Chassis Power is off')
    await ipmi('chassis', 'power', 'on')
    await said('from the disk')
    assert.equal(await ipmi('chassis', 'power', 'status'), 'Chassis Power is on')
  })

  test('is off as soon as the BMC has turned it off', async () => {
    await ipmi('chassis', 'power', 'off')
    assert.equal(await ipmi('chassis', 'power', 'status'), 'Chassis Power is off')
    assert.equal(server.machine.state().pid, null)
  })

  test('starts from the network once, and from its disk after a reset', async () => {
    await ipmi('chassis', 'bootdev', 'pxe')
    const before = await timesSaid('from the disk')
    await ipmi('chassis', 'power', 'on')
    await waitFor('the iPXE script', async () =>
      (await serial()).includes('from the network') ? true : undefined,
    )
    await ipmi('chassis', 'power', 'reset')
    await said('from the disk', before)
    await ipmi('chassis', 'power', 'off')
  })

  test('starts from the virtual CD, which is read from its URL', async () => {
    await server.machine.insert(`${base}/cd.iso`)
    await ipmi('chassis', 'bootdev', 'cdrom')
    await ipmi('chassis', 'power', 'on')
    await said('from the CD')
    await ipmi('chassis', 'power', 'off')
    await server.machine.eject()
  })

  test('is off when its system turns it off, and stays on over a reset', async () => {
    await write(plan.disks[0]!.path, 'turns itself off', 'off')
    await server.machine.act('on')
    await said('turns itself off')
    await waitFor('power off', async () => (await server.machine.power()) === 'off' || undefined)
  })

  test('is turned off when its system resets it without end', async () => {
    await write(plan.disks[0]!.path, 'again', 'reset')
    await server.machine.act('on')
    await waitFor('power off', async () => (await server.machine.power()) === 'off' || undefined)
    await said('again', 20)
    assert.ok(log.some((line) => line.includes('20 resets in a row')))
  })

  test('shows the same machine over Redfish', async () => {
    const bmc = `https://127.0.0.1:${plan.ports.redfish}/redfish/v1/Systems/${plan.uuid}`
    const login = `${plan.bmc.user}:${plan.bmc.password}`
    const read = async () => JSON.parse((await run('curl', ['-sk', '-u', login, bmc])).stdout) as object
    await ipmi('chassis', 'bootdev', 'cdrom')
    const { PowerState, Boot } = (await read()) as { PowerState: string; Boot: Record<string, string> }
    assert.equal(PowerState, 'Off')
    assert.equal(Boot['BootSourceOverrideTarget'], 'Cd')
    await ipmi('chassis', 'bootdev', 'none')
  })

  test('lets nobody in without the password', async () => {
    const options = ['-I', 'lanplus', '-C', '3', '-R', '1', '-H', '127.0.0.1', '-p', String(plan.ports.ipmi)]
    const env = { ...process.env, IPMITOOL_PASSWORD: 'wrong' }
    await assert.rejects(run('ipmitool', [...options, '-U', plan.bmc.user, '-E', 'mc', 'info'], { env }))
  })
})
