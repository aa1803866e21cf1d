/** Command line of the demo. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export interface DemoOptions {
  /** URL, or path of a local file; undefined: a Debian image that the demo gets by itself. */
  image: string | undefined
  type: 'qcow2' | 'raw' | 'ova'
  checksum: { type: string; value: string } | undefined
  /** Folder for the demo's state, emptied at the start. */
  data: string | undefined
  /** Stay up after the deployment until stopped. */
  keep: boolean
}

const usage = `npm run demo [-- OPTIONS]

Starts a control plane and a file-backed server on this machine, deploys a disk image onto the server through
OVHcloud's own npm client, and proves the result. Needs no hardware and no account.

  --image URL|FILE        another image than Debian 12
  --type qcow2|raw|ova    its type (default: by the name's end)
  --checksum TYPE:HEX     its checksum (md5, sha1, sha256 or sha512)
  --data DIR              folder for its state, emptied at the start (default: /var/lib/byoi-demo as root)
  --keep                  stay up afterwards (default on a terminal)
  --once                  end afterwards (default without a terminal)
`

/** A command line that cannot be meant: shown with the usage, exit status 2. */
export class UsageError extends Error {}

const types = ['qcow2', 'raw', 'ova'] as const

function typeOf(image: string | undefined, declared: string | undefined): DemoOptions['type'] {
  const named = declared ?? (image === undefined ? 'qcow2' : /\.(qcow2|raw|img|ova)(\?|$)/.exec(image)?.[1])
  const type = types.find((each) => each === (named === 'img' ? 'raw' : named))
  if (type === undefined) throw new UsageError(`--type must be one of ${types.join(', ')}`)
  return type
}

function checksumOf(text: string | undefined): DemoOptions['checksum'] {
  if (text === undefined) return undefined
  const match = /^([a-z0-9]+):([0-9a-fA-F]+)$/.exec(text)
  if (match === null) throw new UsageError('--checksum is TYPE:HEX, for example sha256:9f86d0...')
  return { type: match[1] ?? '', value: match[2] ?? '' }
}

/** Reads the arguments; undefined after `--help`. @throws {UsageError} */
export function readOptions(args: string[], terminal: boolean): DemoOptions | undefined {
  const options = {
    image: { type: 'string' },
    type: { type: 'string' },
    checksum: { type: 'string' },
    data: { type: 'string' },
    keep: { type: 'boolean' },
    once: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const
  let values
  try {
    values = parseArgs({ args, options }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  if (values.help === true) {
    console.log(usage)
    return undefined
  }
  const isUrl = values.image !== undefined && /^https?:\/\//.test(values.image)
  const image = values.image === undefined || isUrl ? values.image : resolve(values.image)
  if (image !== undefined && !isUrl && !existsSync(image)) throw new UsageError(`there is no file ${image}`)
  return {
    image,
    type: typeOf(image, values.type),
    checksum: checksumOf(values.checksum),
    data: values.data === undefined ? undefined : resolve(values.data),
    keep: values.keep ?? (values.once === true ? false : terminal),
  }
}

export { usage }
