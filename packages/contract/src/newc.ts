/**
 * The cpio format `newc`, as the Linux kernel unpacks it into its first root file system: linux/Documentation/driver-api/early-userspace/
 * buffer-format.rst. Times, owners and inode numbers are fixed, so the same entries make the same bytes.
 */

const regular = 0o100000
const directory = 0o040000
const link = 0o120000
const character = 0o020000

/** One entry. `path` without a leading slash; `mode` holds the permission bits only. */
export type NewcEntry = { path: string; mode?: number } & (
  | { kind: 'file'; data: Uint8Array }
  | { kind: 'directory' }
  | { kind: 'link'; target: string }
  | { kind: 'device'; major: number; minor: number }
)

const zeros = Buffer.alloc(4)
/** Names and contents begin at multiples of four. */
const padding = (length: number): Buffer => zeros.subarray(0, -length & 3)

interface Inode {
  type: number
  mode: number
  data: Uint8Array
  device: readonly [number, number]
}

function inode(entry: NewcEntry): Inode {
  const none = { data: zeros.subarray(0, 0), device: [0, 0] as const }
  if (entry.kind === 'file') return { ...none, type: regular, mode: entry.mode ?? 0o644, data: entry.data }
  if (entry.kind === 'directory') return { ...none, type: directory, mode: entry.mode ?? 0o755 }
  if (entry.kind === 'link') return { ...none, type: link, mode: 0o777, data: Buffer.from(entry.target) }
  return { ...none, type: character, mode: entry.mode ?? 0o600, device: [entry.major, entry.minor] }
}

function* record(path: string, { type, mode, data, device }: Inode): Generator<Uint8Array> {
  const name = Buffer.from(`${path}\0`)
  const links = type === directory ? 2 : 1
  // ino, mode, uid, gid, nlink, mtime, size, device of the file system, device of the node, length of the name, checksum (none).
  // Files of more than one link are matched by their inode number; nothing else reads it.
  const fields = [0, type | mode, 0, 0, links, 0, data.length, 0, 0, ...device, name.length, 0]
  const header = Buffer.from(`070701${fields.map((each) => each.toString(16).padStart(8, '0')).join('')}`)
  yield header
  yield name
  yield padding(header.length + name.length)
  yield data
  yield padding(data.length)
}

/** The bytes of an archive, in pieces, in the order of the entries: a directory must come before what is in it. */
export function* newcArchive(entries: Iterable<NewcEntry>): Generator<Uint8Array> {
  for (const entry of entries) yield* record(entry.path, inode(entry))
  yield* record('TRAILER!!!', { type: 0, mode: 0, data: zeros.subarray(0, 0), device: [0, 0] })
}
