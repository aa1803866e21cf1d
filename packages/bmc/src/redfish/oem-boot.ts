import { type BootDevice, BmcError } from '../bmc.ts'
import { refusal } from './errors.ts'
import { at, objectAt, textAt } from './json.ts'
import { type KnownServer } from './server.ts'
import { finish, Task } from './tasks.ts'

const targets = { disk: 'Hdd', network: 'Pxe', cd: 'Cd' } as const
const what = 'did not set the boot device'

/** Boots once by a way of the vendor's own. */
export async function oemBoot(
  server: KnownServer,
  way: 'dell-import' | 'fujitsu-boot-config',
  device: BootDevice,
): Promise<void> {
  await (way === 'dell-import' ? dellImport(server) : fujitsuBootConfig(server, device))
}

/** An iDRAC refuses it with insignificant white space in it (sushy oem/dell manager.py). */
const dellConfiguration =
  '<SystemConfiguration><Component FQDD="iDRAC.Embedded.1">' +
  '<Attribute Name="ServerBoot.1#BootOnce">Enabled</Attribute>' +
  '<Attribute Name="ServerBoot.1#FirstBootDevice">VCD-DVD</Attribute>' +
  '</Component></SystemConfiguration>'

/**
 * iDRAC 8 and 9 before release 6: the standard target `Cd` is a physical drive there. The configuration job that says
 * `Completed` is the reading back. DS SetNextOneTimeBootVirtualMediaDeviceOemREDFISH.py.
 */
async function dellImport({ client, budget, managers }: KnownServer): Promise<void> {
  const target = managers
    .flatMap(({ json }) => Object.entries(objectAt(json, 'Actions', 'Oem') ?? {}))
    .filter(([name]) => name.endsWith('Manager.ImportSystemConfiguration'))
    .map(([, action]) => textAt(action, 'target'))
    .find((each) => each !== null)
  if (target === undefined || target === null) throw missing('import of a configuration')
  const body = { ShareParameters: { Target: ['IDRAC'] }, ImportBuffer: dellConfiguration }
  const answer = await client.post(target, body, budget)
  if (!answer.ok) throw refusal('refused the boot device', answer, client.clean)
  if (await finish(Task.of(answer, client, budget), what, budget.within(90_000))) return
  throw new BmcError('The BMC did not end its configuration job in time.', {
    fault: 'busy',
    outcome: 'unknown',
    remedy: "Look at the iDRAC's job queue and clear it.",
  })
}

/** `NextBootOnlyEnabled` beside the standard override; fujitsu/terraform-provider-irmc-redfish resource_boot_source_override.go. */
async function fujitsuBootConfig(server: KnownServer, device: BootDevice): Promise<void> {
  const { client, budget, system, resource } = server
  const vendor =
    ['Fsas', 'ts_fujitsu'].find((name) => at(resource.json, 'Oem', name) !== undefined) ?? 'ts_fujitsu'
  const path = `${system}/Oem/${vendor}/BootConfig`
  const wanted = targets[device]
  const answer = await client.patch(path, { BootDevice: wanted, NextBootOnlyEnabled: true }, budget)
  if (!answer.ok) throw refusal('refused the boot device', answer, client.clean)
  const { json: after } = await client.get(path, budget)
  if (textAt(after, 'BootDevice') === wanted && at(after, 'NextBootOnlyEnabled') === true) return
  throw new BmcError(`The BMC took the boot device ${wanted} and does not show it.`, {
    fault: 'not-done',
    outcome: 'unknown',
    remedy: 'Restart the BMC or update its firmware.',
  })
}

const missing = (what: string): BmcError =>
  new BmcError(`The BMC has no ${what} over Redfish.`, {
    fault: 'refused',
    outcome: 'refused',
    remedy: 'Update its firmware, or let the server boot from the network.',
  })
