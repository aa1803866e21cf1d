import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext } from 'node:test'
import { type RedfishOptions, RedfishBmc } from '../redfish/redfish-bmc.ts'
import { type Answer, errorAnswer, type Exchange, type Json, ok } from '../simulated/exchange.ts'
import { MemoryMachine } from '../simulated/memory-machine.ts'
import { startRedfishService } from '../simulated/redfish-service.ts'
import { makeCertificate } from './certificate.ts'
import { FakeClock } from './fake-clock.ts'
import { account, spkiOf } from './redfish-rig.ts'

const folder = join(import.meta.dirname, '..', '..', 'testdata', 'redfish')

export const recorded = (file: string): Json => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Json

export interface Written {
  method: string
  path: string
  body: unknown
}

const merge = (into: Json, patch: Json): void => {
  for (const [name, value] of Object.entries(patch)) {
    const there = into[name]
    const isDeep = typeof value === 'object' && value !== null && typeof there === 'object' && there !== null
    if (isDeep) merge(there as Json, value as Json)
    else into[name] = value
  }
}

/** Shows recorded resources, and keeps what is written to them: a system that is reset has that power, a slot its medium. */
class Recording {
  readonly written: Written[] = []
  readonly #resources = new Map<string, Json>()
  readonly #hidden = new Set<string>()

  constructor(resources: readonly Json[]) {
    for (const each of resources) this.#resources.set(String(each['@odata.id']).replace(/\/$/, ''), each)
  }

  /** Whether a resource answers 404. */
  hide(path: string, hidden: boolean): void {
    if (hidden) this.#hidden.add(path)
    else this.#hidden.delete(path)
  }

  answer({ method, path, body }: Exchange): Answer {
    const isHidden = this.#hidden.has(path.replace(/\/$/, ''))
    const resource = isHidden ? undefined : this.#resources.get(path.replace(/\/$/, ''))
    if (method === 'GET') {
      return resource === undefined
        ? errorAnswer(404, 'Base.1.0.ResourceMissingAtURI', 'Not found.')
        : ok(resource)
    }
    this.written.push({ method, path, body })
    const owner = this.#resources.get(path.replace(/\/Actions\/.*/, ''))
    if (resource !== undefined) merge(resource, body as Json)
    const { ResetType, Image } = (body ?? {}) as Json
    if (ResetType !== undefined) merge(owner ?? {}, { PowerState: ResetType === 'ForceOff' ? 'Off' : 'On' })
    if (path.endsWith('.InsertMedia')) merge(owner ?? {}, { Image, Inserted: true, ConnectedVia: 'URI' })
    if (path.endsWith('.EjectMedia')) merge(owner ?? {}, { Inserted: false, ConnectedVia: 'NotConnected' })
    return { status: 204, headers: {} }
  }
}

export interface RecordedBmc {
  bmc: RedfishBmc
  options: RedfishOptions
  written: readonly Written[]
  hide: Recording['hide']
}

/** The driver against a BMC whose answers were recorded. `resources` have their `@odata.id`. */
export async function recordedBmc(
  t: TestContext,
  resources: readonly Json[],
  options: Partial<RedfishOptions> = {},
): Promise<RecordedBmc> {
  const tls = await makeCertificate()
  const clock = new FakeClock()
  const machine = new MemoryMachine()
  const service = await startRedfishService({ machine, ...account, tls, host: '127.0.0.1', port: 0, clock })
  const recording = new Recording(resources)
  service.faults.use(({ paths }) => async (exchange, next) => {
    const isRecorded =
      exchange.path.replace(/\/$/, '') === paths.root || !exchange.path.startsWith(paths.sessionService)
    return isRecorded ? recording.answer(exchange) : await next(exchange)
  })
  const target = { address: service.url, spki: spkiOf(tls.cert), firmware: 'uefi' as const, system: null }
  const all: RedfishOptions = { ...target, ...account, console: null, clock, ...options }
  const bmc = new RedfishBmc(all)
  t.after(async () => {
    await bmc.close()
    await service.close()
  })
  const hide: Recording['hide'] = (path, hidden) => recording.hide(path, hidden)
  return { bmc, options: all, written: recording.written, hide }
}
