import {
  badField,
  BadParameter,
  type DedicatedServer,
  isEfiPath,
  isSshPublicKey,
  notDescribed,
} from '@byoi/contract'
import { type OwnerChange } from './ports.ts'

const call = 'PUT/dedicated/server'
const changeable = new Set(['rescueSshKey', 'efiBootloaderPath'])

/**
 * What a body of `PUT /dedicated/server/{serviceName}` changes: a part of `dedicated.server.Dedicated`. Clients send back what they
 * have read, so any property may come with the value that it has; only those that mean something here may come with another.
 * Throws `BadParameter`.
 */
export function readOwnerChange(body: unknown, present: DedicatedServer): OwnerChange {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw notAnObject()
  const unknown = Object.keys(body).filter((name) => !Object.hasOwn(present, name))
  if (unknown.length > 0) throw notDescribed(unknown, call)
  const given = body as Partial<Record<keyof DedicatedServer, unknown>>
  for (const [name, value] of Object.entries(given)) {
    if (!changeable.has(name) && value !== present[name as keyof DedicatedServer]) throw fixed(name)
  }
  const { rescueSshKey, efiBootloaderPath } = given
  return {
    ...(rescueSshKey === undefined
      ? {}
      : { rescueSshKey: textOf('rescueSshKey', rescueSshKey, isSshPublicKey, sshMust) }),
    ...(efiBootloaderPath === undefined
      ? {}
      : { efiBootloaderPath: textOf('efiBootloaderPath', efiBootloaderPath, isEfiPath, pathMust) }),
  }
}

const sshMust = 'be one line of an OpenSSH public key (ssh-ed25519, ecdsa-sha2-nistp256 or ssh-rsa), or null'
const pathMust = String.raw`be the path of a loader, such as \efi\debian\grubx64.efi, or null`

/** An empty text clears the property, as null does: some clients have no null. */
function textOf(
  name: string,
  value: unknown,
  isGood: (text: string) => boolean,
  must: string,
): string | null {
  if (value === null || value === '') return null
  if (typeof value !== 'string' || value.length > 20_000 || !isGood(value)) throw badField(name, must)
  return value
}

const notAnObject = (): BadParameter =>
  new BadParameter('The body must be a JSON object', {
    field: '',
    reason: 'The body holds no properties of a server.',
    remedy: 'Send a JSON object with the properties to change.',
  })

const fixed = (name: string): BadParameter =>
  new BadParameter(`Body parameter ${name} cannot be changed`, {
    field: name,
    reason: `byoi does not let ${name} of a server be changed over the API.`,
    remedy:
      name === 'bootId'
        ? 'Use DELETE on bringYourOwnImage, or POST /byoi/server/{serviceName}/rescue, for rescue.'
        : `Leave ${name} out, or send the value that it has.`,
  })
