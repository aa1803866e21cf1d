/** Keys and logins by Debian's SSH client. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../run-command.ts'
import { type VirtualServer } from './virtual-lab.ts'

export interface SshKey {
  /** Of the private key. */
  path: string
  /** The public key's line. */
  line: string
  /** Its middle word. */
  blob: string
}

export async function makeSshKey(folder: string): Promise<SshKey> {
  const path = join(folder, 'id_ed25519')
  await command('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'lab', '-f', path])
  const line = (await readFile(`${path}.pub`, 'utf8')).trim()
  return { path, line, blob: line.split(' ')[1] ?? '' }
}

/** Where the server's host key is remembered. */
const knownHosts = (server: VirtualServer): string => join(server.plan.folder, 'known_hosts')

/** Arguments of ssh(1) for a login as `user`, which takes no other key of the server than the one that was remembered. */
export function sshArguments(server: VirtualServer, user: string, key: SshKey): string[] {
  const options = [
    `UserKnownHostsFile=${knownHosts(server)}`,
    'GlobalKnownHostsFile=/dev/null',
    'StrictHostKeyChecking=yes',
    'IdentitiesOnly=yes',
    'BatchMode=yes',
    'ConnectTimeout=60',
  ].flatMap((each) => ['-o', each])
  return [...options, '-i', key.path, '-p', String(server.plan.ports.ssh), `${user}@127.0.0.1`]
}

/**
 * Logs in by SSH and gives what the command prints. @throws {Error} also when the server shows another host key.
 * @param hostKey The line of the host key that it must show.
 */
export async function ssh(
  server: VirtualServer,
  user: string,
  key: SshKey,
  hostKey: string,
  ...words: string[]
): Promise<string> {
  const [type, blob] = hostKey.split(' ')
  await writeFile(knownHosts(server), `[127.0.0.1]:${server.plan.ports.ssh} ${type} ${blob}\n`)
  return (await command('ssh', [...sshArguments(server, user, key), ...words])).toString()
}
