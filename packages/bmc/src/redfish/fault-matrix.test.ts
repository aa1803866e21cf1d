import assert from 'node:assert/strict'
import { type TestContext } from 'node:test'
import { BmcError } from '../bmc.ts'
import { type BmcCall } from '../judge.ts'
import { type FaultName, faultNames } from '../simulated/fault-switches.ts'
import { type RedfishService, startRedfishService } from '../simulated/redfish-service.ts'
import { makeCertificate } from '../testing/certificate.ts'
import { type Cell, type MatrixCall, testFaultMatrix } from '../testing/fault-matrix.ts'
import { type Judged } from '../testing/judged.ts'
import { account, redfishRig, type Rig } from '../testing/redfish-rig.ts'
import { RedfishBmc } from './redfish-bmc.ts'

const { signal } = new AbortController()

/** What a call does. The server is off before it. */
interface Call {
  judgedAs: BmcCall
  use: (bmc: RedfishBmc) => Promise<unknown>
}

const boots: Call = { judgedAs: 'set-boot', use: (bmc) => bmc.setBootDevice('network', signal) }

const calls: Record<MatrixCall, Call> = {
  'read-power': { judgedAs: 'read-power', use: (bmc) => bmc.readPower(signal) },
  'set-boot': boots,
  'read-boot': { judgedAs: 'read-boot', use: (bmc) => bmc.readBootDevice(signal) },
  'set-power': { judgedAs: 'set-power', use: (bmc) => bmc.setPower('on', signal) },
  session: { judgedAs: 'read-power', use: (bmc) => bmc.readPower(signal) },
}

/** Faults that strike only where something was written before: reading back is a part of setting. */
const readBack: readonly string[] = [
  'boot-ignored',
  'mode-always-legacy',
  'once-dropped',
  'boot-stale-60s',
  'boot-forgotten',
]

/** Faults that no switch of the service makes. */
const others: Readonly<Record<string, (t: TestContext, rig: Rig) => Promise<unknown> | void>> = {
  'host-down': (_, { service }) => service.close(),
  'certificate-changed': async (t, { service, machine, clock }) => {
    const port = Number(new URL(service.url).port)
    await service.close()
    const tls = await makeCertificate()
    const impostor = await startRedfishService({ machine, ...account, tls, host: '127.0.0.1', port, clock })
    t.after(async () => {
      assert.deepEqual(impostor.requests, [], 'nothing was sent to it')
      await impostor.close()
    })
  },
  /** Carries out the first write, and restarts before it answers. */
  'restarts-after-write': (_, { service }) => {
    let written = false
    service.faults.use(() => async (exchange, next) => {
      const answer = await next(exchange)
      const isWrite = exchange.method === 'PATCH' || exchange.path.endsWith('.Reset')
      if (!isWrite || written) return answer
      written = true
      service.faults.on('restarts')
      return { status: 0, headers: {} }
    })
  },
}

async function arrange(t: TestContext, call: MatrixCall, injector: string): Promise<Cell<RedfishBmc>> {
  const rig = await redfishRig(t)
  const { machine, clock, service, options } = rig
  const isReadBack = call === 'read-boot' && readBack.includes(injector)
  if (call === 'read-boot' && !isReadBack) {
    await machine.setBoot({ device: 'network', once: true, firmware: 'uefi', httpUri: null })
  }
  if (injector === 'says-off') await machine.act('on')
  const { judgedAs, use } = isReadBack ? boots : calls[call]
  const before = machine.actions.length
  await inject(t, rig, injector)
  return {
    clock,
    judgedAs,
    open: () => new RedfishBmc(options),
    use,
    verify: async (outcome) => {
      const turnedOn = machine.actions.slice(before).filter((action) => action === 'on')
      assert.ok(turnedOn.length <= outcome.tries, 'each try acts on the power once at most')
      if (outcome.ends !== 'done') return assertTold(injector, service, outcome)
      if (call === 'set-power' && injector !== 'says-on-once') assert.equal(await machine.power(), 'on')
      if (isReadBack || call === 'set-boot') await assertBoots(injector, rig)
    },
  }
}

async function inject(t: TestContext, rig: Rig, injector: string): Promise<void> {
  const other = others[injector]
  assert.ok(other !== undefined || (faultNames as string[]).includes(injector), `no injector ${injector}`)
  if (other === undefined) rig.service.faults.on(injector as FaultName)
  else await other(t, rig)
}

/** The next start is from the network, within the half minute that the workflow lets pass before it. */
async function assertBoots(injector: string, { machine, clock, bmc }: Rig): Promise<void> {
  if (injector === 'boot-forgotten') {
    await clock.sleep(61_000, signal)
    assert.equal(await bmc.readBootDevice(signal), null, 'what was forgotten is not told')
    await bmc.setBootDevice('network', signal)
  }
  await clock.sleep(25_000, signal)
  await bmc.setPower('on', signal)
  const { boot } = machine.starts.at(-1) ?? {}
  assert.deepEqual(boot, { device: 'network', once: true, firmware: 'uefi', httpUri: null })
}

function assertTold(injector: string, service: RedfishService, { error }: Judged): void {
  assert.ok(error instanceof BmcError && error.remedy !== '')
  assert.ok(!`${error.message} ${error.remedy}`.includes(account.password), 'nothing secret is told')
  if (injector === 'mode-always-legacy') assert.match(error.message, /Pxe, Once, UEFI.*Pxe, Once, Legacy/)
  if (injector === 'once-dropped') assert.match(error.message, /Pxe, Once, UEFI.*Pxe, Disabled, UEFI/)
  if (injector === 'password-changed') {
    const logins = service.requests.filter(({ method }) => method === 'POST')
    const basic = service.requests.filter(({ headers }) => headers['authorization'] !== undefined)
    assert.deepEqual([logins.length, basic.length], [2, 0], 'the password was sent twice and no more')
  }
}

testFaultMatrix('redfish', arrange, { 'accepts-cipher-suite-0/session': 'IPMI alone has cipher suites' })
