/** How long each part of the work takes on this machine by itself, with the best that is at hand. */
import { join } from 'node:path'
import { availableParallelism } from 'node:os'
import { type BenchImage, DATA } from './images.ts'

export interface Part {
  name: 'network' | 'digest' | 'decoding' | 'disk'
  commands: string[][]
}

const inflate = (...args: string[]) => [[process.execPath, join(import.meta.dirname, 'inflate.ts'), ...args]]

const decoders: Record<BenchImage['packing'], ((image: BenchImage) => string[][]) | null> = {
  none: null,
  'deflate clusters': () => inflate('deflate', String(DATA), String(availableParallelism())),
  'zstd clusters': () => inflate('zstd', String(DATA), String(availableParallelism())),
  gzip: ({ path }) => inflate('gunzip', path),
  zstd: ({ path }) => [['sh', '-c', 'zstd -dqc "$1" >/dev/null', 'sh', path]],
  xz: ({ path }) => [['sh', '-c', 'xz -dc -T0 "$1" >/dev/null', 'sh', path]],
}

/** Two writers that fill what the image fills, past the page cache. */
const DISK = `
half=$(($2 / 2097152 / 2))
dd if=/dev/zero of="$1" bs=2M count=$half oflag=direct conv=notrunc status=none &
dd if=/dev/zero of="$1" bs=2M count=$half seek=$half oflag=direct conv=notrunc status=none &
wait`

/** `target`: a fresh disk. */
export function partsOf(image: BenchImage, url: string, target: string): Part[] {
  const decode = decoders[image.packing]
  return [
    { name: 'network', commands: [['curl', '-sSf', '--output', '/dev/null', url]] },
    { name: 'digest', commands: [['openssl', 'dgst', '-sha256', image.path]] },
    ...(decode ? [{ name: 'decoding' as const, commands: decode(image) }] : []),
    { name: 'disk', commands: [['bash', '-c', DISK, 'bash', target, String(DATA)]] },
  ]
}
