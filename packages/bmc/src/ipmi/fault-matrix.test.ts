import assert from 'node:assert/strict'
import { type BmcCall } from '../judge.ts'
import { MemoryMachine } from '../simulated/memory-machine.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { type Cell, type MatrixCall, testFaultMatrix } from '../testing/fault-matrix.ts'
import { type Judged } from '../testing/judged.ts'
import { SimulatedIpmitool } from '../testing/simulated-ipmitool.ts'
import { injectors } from './fault-matrix.fixture.ts'
import { IpmiBmc } from './ipmi-bmc.ts'

const { signal } = new AbortController()
const password = 'correct-horse-1'

/** What a call does. The server is off before it. */
interface Call {
  judgedAs: BmcCall
  use: (bmc: IpmiBmc) => Promise<unknown>
}

const boots: Call = { judgedAs: 'set-boot', use: (bmc) => bmc.setBootDevice('network', signal) }

const calls: Record<MatrixCall, Call> = {
  'read-power': { judgedAs: 'read-power', use: (bmc) => bmc.readPower(signal) },
  'set-boot': boots,
  'read-boot': { judgedAs: 'read-boot', use: (bmc) => bmc.readBootDevice(signal) },
  'set-power': { judgedAs: 'set-power', use: (bmc) => bmc.setPower('on', signal) },
  session: { judgedAs: 'read-power', use: (bmc) => bmc.identify(signal) },
}

/** Faults that strike only where something was written before: reading back is a part of setting. */
const readBack = ['boot-ignored', 'efi-dropped', 'made-persistent', 'boot-stale-60s', 'flags-expire']

/** Each rig is a BMC of its own, also to what the driver remembers of BMCs. */
let port = 1

async function arrange(_: unknown, call: MatrixCall, injector: string): Promise<Cell<IpmiBmc>> {
  const clock = new FakeClock()
  const machine = new MemoryMachine()
  const ipmitool = new SimulatedIpmitool(machine, clock, password)
  const options = {
    host: 'bmc.example.test',
    port: port++,
    user: 'admin',
    password,
    firmware: 'uefi' as const,
    cipherSuite: null,
    commandIntervalMs: 5000,
    clock,
  }
  const isReadBack = call === 'read-boot' && readBack.includes(injector)
  if (call === 'read-boot' && !isReadBack) {
    await machine.setBoot({ device: 'network', once: true, firmware: 'uefi', httpUri: null })
  }
  if (injector === 'says-off') await machine.act('on')
  const { judgedAs, use } = isReadBack ? boots : calls[call]
  const before = machine.actions.length
  const inject = injectors[injector] ?? assert.fail(`no injector ${injector}`)
  inject(ipmitool)
  const open = () => new IpmiBmc(options, ipmitool.run)
  return {
    clock,
    judgedAs,
    open,
    use,
    verify: async (outcome) => {
      const turnedOn = machine.actions.slice(before).filter((action) => action === 'on')
      assert.ok(turnedOn.length <= outcome.tries, 'each try acts on the power once at most')
      if (outcome.ends !== 'done') return assertTold(injector, ipmitool, outcome)
      if (call === 'set-power') assert.equal(await machine.power(), 'on')
      if (isReadBack || call === 'set-boot') await assertBoots(open(), machine, clock)
      if (injector === 'cipher-suite-0') await assertFlagged(open())
    },
  }
}

/** The next start is from the network, within the half minute that the workflow lets pass before it, and later. */
async function assertBoots(bmc: IpmiBmc, machine: MemoryMachine, clock: FakeClock): Promise<void> {
  await clock.sleep(61_000, signal)
  await bmc.setPower('on', signal)
  const { boot } = machine.starts.at(-1) ?? {}
  assert.deepEqual(boot, { device: 'network', once: true, firmware: 'uefi', httpUri: null })
}

async function assertFlagged(bmc: IpmiBmc): Promise<void> {
  const { weaknesses } = await bmc.identify(signal)
  assert.equal(weaknesses.length, 1)
  assert.match(weaknesses[0] ?? '', /cipher suite 0/)
}

function assertTold(injector: string, { calls: sent }: SimulatedIpmitool, { error }: Judged): void {
  assert.ok(error !== null && error.remedy !== '')
  assert.ok(!`${error.message} ${error.remedy}`.includes(password), 'nothing secret is told')
  assert.match(error.message, /^[ -~]+$/, 'no control characters')
  if (injector === 'efi-dropped') assert.match(error.message, /a004000000.*8004000000/)
  if (injector === 'made-persistent') assert.match(error.message, /a004000000.*e004000000/)
  if (injector === 'password-changed') assert.equal(sent.length, 2, 'the password was sent twice and no more')
}

const noRedirects = 'IPMI refers to no other host and has no certificates'
testFaultMatrix('ipmi', arrange, {
  'poweringon-off-for-ever/read-power': 'IPMI shows on or off, nothing between',
  'elsewhere/read-power': noRedirects,
  'elsewhere/set-boot': noRedirects,
  'elsewhere/read-boot': noRedirects,
  'elsewhere/set-power': noRedirects,
  'elsewhere/session': noRedirects,
})
