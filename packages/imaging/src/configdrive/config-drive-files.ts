import type { ConfigDrive } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import { phoneHome } from './phone-home.ts'
import type { VolumeFile } from './volume-file.ts'

const directory = 'openstack/latest'
const keyName = 'default'

/**
 * The files of a config drive in OpenStack's layout, as cloud-init and cloudbase-init read it.
 *
 * There is no `network_data.json`: cloud-init takes an empty one for "configure no interface", and without the file it
 * falls back to DHCP. `user_data` is byte for byte as given, and absent when there is none; so is `vendor_data.json` when
 * nothing is asked of the system.
 */
export function configDriveFiles(content: ConfigDrive): VolumeFile[] {
  const { userData, phoneHomeUrl } = content
  return [
    { path: `${directory}/meta_data.json`, bytes: jsonBytes(metaDataOf(content)) },
    ...(userData === null ? [] : [{ path: `${directory}/user_data`, bytes: userData }]),
    ...(phoneHomeUrl === null
      ? []
      : [{ path: `${directory}/vendor_data.json`, bytes: jsonBytes(vendorDataOf(phoneHomeUrl)) }]),
  ]
}

const jsonBytes = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value, null, 2)}\n`, 'utf8')

/**
 * `uuid` is cloud-init's instance id: a new one makes it run its first-boot modules again. The caller's metadata live under
 * `meta` and can therefore not replace any other key.
 */
function metaDataOf({ instanceId, hostname, sshKey, userMetadatas }: ConfigDrive): Record<string, unknown> {
  const seen = new Set<string>()
  for (const { key } of userMetadatas) {
    if (seen.has(key)) {
      throw new ImagingError('CFG', {
        cause: 'A key of userMetadatas is given twice.',
        remedy: 'Give each key of userMetadatas once.',
      })
    }
    seen.add(key)
  }
  return {
    uuid: instanceId,
    ...(hostname === null ? {} : { hostname, name: hostname, 'local-hostname': hostname }),
    ...(sshKey === null
      ? {}
      : { public_keys: { [keyName]: sshKey }, keys: [{ name: keyName, type: 'ssh', data: sshKey }] }),
    availability_zone: 'nova',
    launch_index: 0,
    devices: [],
    // Built entry by entry as own properties, so that a key like `__proto__` is a key like any other.
    meta: Object.fromEntries(userMetadatas.map(({ key, value }) => [key, value])),
  }
}

/** cloud-init reads the member `cloud-init` as it reads user data, which goes before it where both say something. */
const vendorDataOf = (phoneHomeUrl: string): Record<string, unknown> => ({
  'cloud-init': `#cloud-config\n${JSON.stringify(phoneHome(phoneHomeUrl))}\n`, // JSON is YAML
})
