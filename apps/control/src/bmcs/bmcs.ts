import { type Bmc, BmcError } from '@byoi/bmc'
import { type ServerCheck } from '@byoi/contract'
import {
  type BmcEnvironment,
  type BmcKind,
  type BmcServer,
  CannotWork,
  type Enrolled,
  type Settings,
  shownIdentity,
} from './bmc-kind.ts'
import { ipmiKind } from './ipmi.ts'
import { localKind } from './local.ts'
import { redfishKind } from './redfish.ts'

const kinds: Record<string, BmcKind> = { local: localKind, redfish: redfishKind, ipmi: ipmiKind }

function kindOf(name: string): BmcKind {
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
  if (kind !== undefined) return kind
  throw new CannotWork(`There is no BMC of kind ${name}; byoi knows ${Object.keys(kinds).join(', ')}.`)
}

/** Throws `CannotWork` when the settings, checked when they were stored, cannot be used after all. */
export const openBmc = (environment: BmcEnvironment, kind: string, server: BmcServer): Bmc =>
  kindOf(kind).open(environment, server)

/**
 * Checks a server's BMC and tries it, before anything is stored. Throws `CannotWork` with the reason, also where the BMC gave it.
 */
export async function enrolServer(
  environment: BmcEnvironment,
  kind: string,
  server: BmcServer,
  timeoutMs: number,
): Promise<Enrolled> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    return await kindOf(kind).enrol(environment, server, signal)
  } catch (error) {
    if (error instanceof BmcError || signal.aborted) throw new CannotWork(problemOf(error))
    throw error
  }
}

/** What no two servers may share: the disk of file-backed ones, else the BMC. */
export const resourceOf = (kind: string, settings: Settings): { what: string; settings: Settings } =>
  kindOf(kind).resource(settings)

/** Asks a server's BMC what it can tell. Changes nothing, neither on the server nor in what is known of it. */
export async function checkServer(
  environment: BmcEnvironment,
  kind: string,
  server: BmcServer,
  timeoutMs: number,
): Promise<ServerCheck> {
  const problems = new Set<string>()
  const ask = async <T>(read: (signal: AbortSignal) => Promise<T> | undefined): Promise<T | null> => {
    try {
      return (await read(AbortSignal.timeout(timeoutMs))) ?? null
    } catch (error) {
      problems.add(problemOf(error))
      return null
    }
  }
  const bmc = openBmc(environment, kind, server)
  try {
    const power = await ask((signal) => bmc.readPower(signal))
    const bootDevice = await ask((signal) => bmc.readBootDevice(signal))
    await ask(() => kindOf(kind).check?.(server))
    const identity = await ask((signal) => bmc.identify(signal))
    for (const weakness of identity?.weaknesses ?? []) problems.add(weakness)
    return { identity: identity && shownIdentity(identity), power, bootDevice, problems: [...problems] }
  } finally {
    await bmc.close()
  }
}

/** Sentences of the drivers: they hold nothing secret. */
function problemOf(error: unknown): string {
  if (error instanceof BmcError) return `${error.message} ${error.remedy}`
  return error instanceof Error && error.name === 'TimeoutError'
    ? 'The BMC did not answer in time. Check its address and its network.'
    : (error as Error).message
}
