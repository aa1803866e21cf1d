import { BmcError, type Firmware } from '../bmc.ts'
import { type Budget } from './budget.ts'
import { type Client, type Resource } from './client.ts'
import { type Json, linkAt, linksAt, objectAt, textAt } from './json.ts'
import { type Quirks, quirksOf } from './quirks.ts'

/** One server of a BMC, within one call. */
export interface Server {
  client: Client
  budget: Budget
  /** Path of its ComputerSystem. */
  system: string
  firmware: Firmware
}

/** A ComputerSystem, for an operator to choose from. */
export interface FoundSystem {
  path: string
  manufacturer: string | null
  model: string | null
  serial: string | null
  uuid: string | null
}

const maxPages = 20

/** Paths of a collection's members. It may span pages (`Members@odata.nextLink`); `Members` may be null (NVIDIA DPU). */
export async function membersOf(client: Client, collection: string, budget: Budget): Promise<string[]> {
  const members: string[] = []
  let page: string | null = collection
  for (let pages = 0; page !== null && pages < maxPages; pages++) {
    const { json }: Resource = await client.get(page, budget)
    members.push(...linksAt(json, 'Members'))
    page = textAt(json, 'Members@odata.nextLink')
  }
  return members
}

/** Some roots lack the link until the BMC is restarted (AMI Viking): then the path that the specification suggests. */
async function listed(client: Client, name: 'Systems' | 'Managers', budget: Budget): Promise<string[]> {
  const root = await client.root(budget)
  return await membersOf(client, linkAt(root, name) ?? `/redfish/v1/${name}`, budget)
}

export async function findSystems(client: Client, budget: Budget): Promise<FoundSystem[]> {
  const found: FoundSystem[] = []
  for (const path of await listed(client, 'Systems', budget)) {
    const { json } = await client.get(path, budget)
    const shown = (name: string) => {
      const text = textAt(json, name)
      return text === null ? null : client.clean(text)
    }
    found.push({
      path,
      manufacturer: shown('Manufacturer'),
      model: shown('Model'),
      serial: shown('SerialNumber'),
      uuid: shown('UUID'),
    })
  }
  return found
}

/** The only system. Some BMCs list others beside the server, such as a DPU: then the operator says which one it is. */
export async function onlySystem(client: Client, budget: Budget): Promise<string> {
  const paths = await listed(client, 'Systems', budget)
  const [only] = paths
  if (only !== undefined && paths.length === 1) return only
  if (paths.length === 0) throw client.garbled('lists no system')
  const names = paths.slice(0, 10).map(client.clean).join(', ')
  throw new BmcError(`The BMC shows ${paths.length} systems: ${names}.`, {
    fault: 'refused',
    outcome: 'refused',
    remedy: "Name the server's system in its record.",
  })
}

export const readSystem = ({ client, system, budget }: Server): Promise<Resource> =>
  client.get(system, budget)

/** The managers of a system: `ManagedBy`, else (Huawei 1288H) `Managers`, else all that there are. */
export async function readManagers({ client, budget }: Server, { json }: Resource): Promise<Resource[]> {
  const linked = [...linksAt(json, 'Links', 'ManagedBy'), ...linksAt(json, 'Links', 'Managers')]
  const paths = linked.length > 0 ? [...new Set(linked)] : await listed(client, 'Managers', budget)
  const managers: Resource[] = []
  for (const path of paths) managers.push(await client.get(path, budget))
  return managers
}

/** A server with what its vendor's BMC does its own way. */
export interface KnownServer extends Server {
  /** Its ComputerSystem, as read in this call. */
  resource: Resource
  quirks: Quirks
  /** As they were read; empty where the call has no need of them. */
  managers: readonly Resource[]
}

export async function know(
  server: Server,
  resource: Resource,
  managers: readonly Resource[],
): Promise<KnownServer> {
  const root = await server.client.root(server.budget)
  const quirks = quirksOf({ root, system: resource.json, managers: managers.map(({ json }) => json) })
  return { ...server, resource, managers, quirks }
}

/** The vendor by the root's `Vendor`, else its first OEM part, else the system's manufacturer (ironic detect_vendor). */
export const vendorOf = (root: Json, system: Json): string | null =>
  textAt(root, 'Vendor') ?? Object.keys(objectAt(root, 'Oem') ?? {})[0] ?? textAt(system, 'Manufacturer')
