/** What others do for the same work, as commands that run one after the other. */
import { basename, join } from 'node:path'
import type { BenchImage, Packing } from './images.ts'

/** An image at `url` is to get onto `target`; `staged` names a file in RAM, with room for others beside it. */
export interface Work {
  image: BenchImage
  url: string
  target: string
  staged: string
}

export interface Peer {
  name: string
  does: string
  /** null: it cannot do this. */
  commands(work: Work): string[][] | null
}

const unpackers: Partial<Record<Packing, string>> = { gzip: 'gzip -dc', zstd: 'zstd -dqc', xz: 'xz -dc -T0' }

/** Where an image lies in RAM. */
export const stagedPath = (image: BenchImage): string =>
  join('/dev/shm', `byoi-bench-${process.pid}-${basename(image.path)}`)

const tools: Peer = {
  name: 'tools',
  does: 'curl to RAM, sha256sum, unpack to RAM where packed, qemu-img convert, sync',
  commands({ image, url, target, staged }) {
    const unpacker = unpackers[image.packing]
    const isOva = image.type === 'ova'
    const inner = unpacker || isOva ? `${staged}.inner` : staged
    return [
      ['curl', '--silent', '--show-error', '--fail', '--output', staged, url],
      ['sha256sum', '--', staged],
      ...(unpacker ? [['sh', '-c', `${unpacker} "$1" >"$2"`, 'sh', staged, inner]] : []),
      ...(isOva ? [['sh', '-c', 'tar -xOf "$1" disk.vmdk >"$2"', 'sh', staged, inner]] : []),
      ...(inner === staged ? [] : [['rm', staged]]),
      ['qemu-img', 'convert', '-n', '-f', isOva ? 'vmdk' : image.type, '-O', 'raw', inner, target],
      ['sync', target],
    ]
  },
}

const qemuAlone: Peer = {
  name: 'qemu-img',
  does: 'qemu-img convert -W -t none of the local file alone, sync: no download, no checksum',
  commands({ image, target }) {
    if (image.type === 'ova' || unpackers[image.packing]) return null
    return [
      ['qemu-img', 'convert', '-n', '-W', '-t', 'none', '-f', image.type, '-O', 'raw', image.path, target],
      ['sync', target],
    ]
  },
}

const pipe: Peer = {
  name: 'pipe',
  does: 'curl | tee to sha256sum | unpack | dd of 1 MiB blocks, sync: one pass, as coreos-installer does it',
  commands({ image, url, target }) {
    const unpacker = unpackers[image.packing]
    if (image.type !== 'raw') return null
    const dd = 'dd of="$2" bs=1M iflag=fullblock oflag=direct conv=notrunc status=none'
    const steps = ['curl -sSf "$1"', 'tee >(sha256sum >/dev/null)', ...(unpacker ? [unpacker] : []), dd]
    return [
      ['bash', '-c', `set -o pipefail; ${steps.join(' | ')}`, 'bash', url, target],
      ['sync', target],
    ]
  },
}

/** The first is the one whose ratio is shown first. */
export const PEERS: Peer[] = [tools, qemuAlone, pipe]
