import { type Static, Type } from 'typebox'
import { bootMediumBytes } from './boot-archive.ts'

const closed = { additionalProperties: false }
const bytes = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/**
 * `cloud`: Debian's kernel for virtual servers, with virtio, NVMe and no other hardware: small and quick. `generic`: Debian's kernel for
 * common server hardware.
 */
export const ramdiskFlavours = ['cloud', 'generic'] as const
export type RamdiskFlavour = (typeof ramdiskFlavours)[number]

/** A file beside the manifest. `size` in bytes, `sha256` in lower-case hex. */
const BuiltFile = Type.Object(
  { name: Type.String(), size: bytes, sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) },
  closed,
)
export type BuiltFile = Static<typeof BuiltFile>

/** Part of the ISO that may be replaced, in bytes from its start; no checksum covers it. */
const Place = Type.Object({ offset: bytes, length: bytes }, closed)

/** `manifest.json`, which `byoi ramdisk build` writes last beside the files that it describes. */
export const RamdiskManifest = Type.Object(
  {
    version: Type.Literal(1),
    flavour: Type.Enum([...ramdiskFlavours]),
    /** byoi's release that the agent in it is of. */
    release: Type.String(),
    /** As `uname -r` prints it. */
    kernel: Type.String(),
    /** Command line of a server that has no words of its own; see `joinKernelWords`. */
    kernelWords: Type.String(),
    files: Type.Object({ vmlinuz: BuiltFile, initrd: BuiltFile, iso: BuiltFile }, closed),
    iso: Type.Object(
      {
        /** Takes a `bootMediumArchive`. */
        medium: Type.Object({ offset: bytes, length: Type.Literal(bootMediumBytes) }, closed),
        /** Takes a `kernelWordsFile` of this length. */
        words: Place,
      },
      closed,
    ),
    /** Debian packages that files were taken from, with their versions. */
    packages: Type.Record(Type.String(), Type.String()),
  },
  closed,
)
export type RamdiskManifest = Static<typeof RamdiskManifest>
