import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ServerWish } from '../make-server-plan.ts'

/** For a test's `skip`: the programs that are absent, or false when all are there. */
export function absentPrograms(...paths: string[]): string | false {
  const absent = paths.filter((each) => !existsSync(each))
  return absent.length > 0 && `absent: ${absent.join(', ')}`
}

/** Calls `look` until it gives something. @throws {Error} naming `what` after a minute. */
export async function waitFor<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + 180_000; Date.now() < end; await sleep(50)) {
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`${what}: not within 180 s`)
}

/** The smallest server that can start a boot sector. */
export const smallServer: ServerWish = {
  firmware: 'legacy',
  secureBoot: false,
  memoryMiB: 128,
  processors: 1,
  kvm: false,
  bus: 'virtio',
  cd: 'ide',
  sectorSize: 512,
  diskSize: 1024 * 1024,
  netbootUrl: 'http://10.0.2.2/boot.ipxe',
}
