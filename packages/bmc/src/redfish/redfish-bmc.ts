import {
  type Bmc,
  BmcError,
  type BmcIdentity,
  type BootDevice,
  type Firmware,
  type PowerState,
  type SerialConsole,
  type VirtualMedia,
} from '../bmc.ts'
import { realClock, type Timekeeper } from '../clock.ts'
import { httpWish, setBoot, wishFor } from './boot.ts'
import { readBootDevice } from './boot-view.ts'
import { Budget } from './budget.ts'
import { Client, type Resource } from './client.ts'
import { identify } from './identity.ts'
import { ejectMedia, insertMedia } from './media.ts'
import { readPower, setPower } from './power.ts'
import {
  findSystems,
  type FoundSystem,
  know,
  type KnownServer,
  onlySystem,
  readManagers,
  readSystem,
  type Server,
} from './server.ts'
import { parseAddress } from './connection.ts'

export interface RedfishAccount {
  /** `https://HOST[:PORT]` */
  address: string
  user: string
  password: string
  /** base64 of the SHA-256 of the certificate's SubjectPublicKeyInfo, pinned at enrolment. */
  spki: string
  clock?: Timekeeper
}

export interface RedfishOptions extends RedfishAccount {
  /** How the server's firmware boots; sent with boot overrides where the BMC wants it. */
  firmware: Firmware
  /** Path of the ComputerSystem where the BMC has several, else null. */
  system: string | null
  /** The BMC's serial console, made by the caller from the IPMI driver, or null. */
  console: SerialConsole | null
}

/** One call ends within this time of the clock, whatever the BMC does. */
const callMs = 150_000

/**
 * A BMC that speaks Redfish (DSP0266, DSP0268). Logs in at the first call and out in `close`; the certificate's key is compared
 * before anything is sent. The constructor throws an Error when the address is not `https://HOST[:PORT]`.
 */
export class RedfishBmc implements Bmc, VirtualMedia {
  readonly virtualMedia = this
  readonly localMedium = null
  readonly console: SerialConsole | null
  readonly #options: RedfishOptions
  readonly #clock: Timekeeper
  readonly #client: Client
  #system: string | null
  #managers: Resource[] | null = null

  constructor(options: RedfishOptions) {
    this.#options = options
    this.#clock = options.clock ?? realClock
    this.#client = clientOf(options)
    this.#system = options.system
    this.console = options.console
  }

  async readPower(signal: AbortSignal): Promise<PowerState> {
    return await readPower(await this.#server(signal))
  }

  async setPower(to: PowerState, signal: AbortSignal): Promise<void> {
    await setPower(await this.#server(signal), to)
  }

  async readBootDevice(signal: AbortSignal): Promise<BootDevice | null> {
    return await readBootDevice(await this.#server(signal))
  }

  async setBootDevice(to: BootDevice | null, signal: AbortSignal): Promise<void> {
    const server = await (to === 'cd' ? this.#withManagers(signal) : this.#withoutManagers(signal))
    await setBoot(server, wishFor(to, server.quirks.cdTargets))
  }

  /**
   * The firmware itself fetches `url` at the next start (`UefiHttp` with `HttpBootUri`, ComputerSystem 1.9). Needs UEFI and DHCP
   * on the server's network. Returns when it has been read back.
   */
  async setHttpBoot(url: string, signal: AbortSignal): Promise<void> {
    if (this.#options.firmware === 'legacy') throw needsUefi()
    await setBoot(await this.#withoutManagers(signal), httpWish(url))
  }

  async insertMedia(url: string, signal: AbortSignal): Promise<void> {
    await insertMedia(await this.#withManagers(signal), url)
  }

  async ejectMedia(signal: AbortSignal): Promise<void> {
    await ejectMedia(await this.#withManagers(signal))
  }

  async identify(signal: AbortSignal): Promise<BmcIdentity> {
    return await identify(await this.#withManagers(signal), this.console !== null)
  }

  async close(): Promise<void> {
    await this.#client.logout(this.#clock)
  }

  async #server(signal: AbortSignal): Promise<Server> {
    const budget = new Budget(this.#clock, callMs, signal)
    const client = this.#client
    this.#system ??= await onlySystem(client, budget)
    return { client, budget, system: this.#system, firmware: this.#options.firmware }
  }

  async #withManagers(signal: AbortSignal): Promise<KnownServer> {
    const server = await this.#server(signal)
    const resource = await readSystem(server)
    this.#managers ??= await readManagers(server, resource)
    return await know(server, resource, this.#managers)
  }

  /** Managers tell which virtual media there is; other calls do without, because each request takes a BMC about a second. */
  async #withoutManagers(signal: AbortSignal): Promise<KnownServer> {
    const server = await this.#server(signal)
    return await know(server, await readSystem(server), [])
  }
}

/** For enrolment: the systems that a BMC lists. Logs in and out. Throws `BmcError`. */
export async function listSystems(account: RedfishAccount, signal: AbortSignal): Promise<FoundSystem[]> {
  const { clock = realClock } = account
  const client = clientOf(account)
  try {
    return await findSystems(client, new Budget(clock, callMs, signal))
  } finally {
    await client.logout(clock)
  }
}

const needsUefi = (): BmcError =>
  new BmcError('Only UEFI firmware boots from an HTTP address.', {
    fault: 'refused',
    outcome: 'refused',
    remedy: 'Let the server boot the agent another way, or correct the boot mode in its record.',
  })

const clientOf = ({ address, spki, user, password }: RedfishAccount): Client =>
  new Client({ origin: parseAddress(address), spki }, { user, password })
