import type { ConfigDrive } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import type { VolumeFile } from './volume-file.ts'

const directory = 'openstack/latest'
const keyName = 'default'

/**
 * The files of a config drive in OpenStack's layout, as cloud-init and cloudbase-init read it.
 *
 * There is no `network_data.json`: cloud-init takes an empty one for "configure no interface", and without the file it
 * falls back to DHCP. There is no `vendor_data.json` either: an absent and an empty one mean the same. `user_data` is byte
 * for byte as given, and absent when there is none.
 */
export function configDriveFiles(content: ConfigDrive): VolumeFile[] {
  const metaData = Buffer.from(`${JSON.stringify(metaDataOf(content), null, 2)}\n`, 'utf8')
  return [
    { path: `${directory}/meta_data.json`, bytes: metaData },
    ...(content.userData === null ? [] : [{ path: `${directory}/user_data`, bytes: content.userData }]),
  ]
}

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
