/** ovh.conf, the file that OVHcloud's Go and Python clients (and `signed-curl`) read. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ApiKey } from './ovh-call.ts'

/** Writes `ovh.conf` (mode 0600) into a folder and gives its path. `url`: `https://HOST:PORT` of the control plane. */
export async function writeOvhConf(folder: string, url: string, key: ApiKey): Promise<string> {
  const path = join(folder, 'ovh.conf')
  const endpoint = `${url}/1.0`
  const lines = [
    '[default]',
    `endpoint=${endpoint}`,
    `[${endpoint}]`,
    `application_key=${key.applicationKey}`,
    `application_secret=${key.applicationSecret}`,
    `consumer_key=${key.consumerKey}`,
  ]
  await writeFile(path, `${lines.join('\n')}\n`, { mode: 0o600 })
  return path
}
