import { type BootDevice, BmcError } from '../bmc.ts'
import { type Resource } from './client.ts'
import { at, type Json, linkAt, objectAt, textAt, textsAt } from './json.ts'
import { readSystem, type Server } from './server.ts'

/** The boot override as a BMC shows it: in the system, and where it has one in its settings object (DSP0266, "Settings"). */
export interface BootView {
  system: Resource
  settings: Resource | null
}

export interface Override {
  enabled: string | null
  target: string | null
  mode: string | null
  httpUri: string | null
}

/** `system`: as it was just read. */
export async function viewBoot(server: Server, system: Resource): Promise<BootView> {
  const link = linkAt(system.json, '@Redfish.Settings', 'SettingsObject')
  return { system, settings: link === null ? null : await server.client.get(link, server.budget) }
}

export const bootOf = (resource: Resource | null): Json => objectAt(resource?.json, 'Boot') ?? {}

/** Whether this copy of `Boot` has the property at all, be it null. */
export const has = (boot: Json, property: string): boolean => at(boot, property) !== undefined

export function overrideOf(boot: Json): Override {
  const uri = textAt(boot, 'HttpBootUri')
  return {
    enabled: textAt(boot, 'BootSourceOverrideEnabled'),
    target: textAt(boot, 'BootSourceOverrideTarget'),
    mode: textAt(boot, 'BootSourceOverrideMode'),
    // sushy-tools shows the word None.
    httpUri: uri !== null && URL.canParse(uri) ? uri : null,
  }
}

/** Values that may be written; only the settings object lists them on iDRAC 10. Empty: the BMC will tell. */
export function allowedOf({ system, settings }: BootView, property: string): string[] {
  const lists = [settings, system].map((each) => textsAt(bootOf(each), `${property}@Redfish.AllowableValues`))
  return lists.find((values) => values.length > 0) ?? []
}

/** The copies that show an override, the one that takes effect at the next start first. */
export function copiesOf({ system, settings }: BootView): Override[] {
  const copies = [system, settings].map((each) => overrideOf(bootOf(each)))
  return copies.filter(({ enabled, target }) => enabled !== null || target !== null)
}

export const isActive = ({ enabled, target }: Override): boolean =>
  enabled !== 'Disabled' && enabled !== null && target !== 'None' && target !== null

const devices: Record<string, BootDevice> = {
  Pxe: 'network',
  UefiHttp: 'network',
  Hdd: 'disk',
  Cd: 'cd',
  UsbCd: 'cd',
}

/** null: nothing is set, or something that byoi never sets. Throws `BmcError` when the BMC shows no override at all. */
export async function readBootDevice(server: Server): Promise<BootDevice | null> {
  const copies = copiesOf(await viewBoot(server, await readSystem(server)))
  if (copies.length === 0) throw noOverride()
  const { target } = copies.find(isActive) ?? { target: null }
  return (target === null ? null : devices[target]) ?? null
}

export const noOverride = (): BmcError =>
  new BmcError('The BMC has no boot override over Redfish.', {
    fault: 'refused',
    outcome: 'refused',
    remedy: 'Update its firmware, or use the IPMI driver for this server.',
  })
