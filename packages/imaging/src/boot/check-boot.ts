import type { DeployOptions, EfiBoot } from '../deploy-image.types.ts'
import type { ImageReader } from '../table/image-reader.ts'
import { chooseLoader } from './choose-loader.ts'
import { judgeBootCode } from './judge-boot-code.ts'
import { warnOfBus } from './kernels.ts'
import { type BootFacts, lookAtBoot } from './look-at-boot.ts'
import type { Cpu } from './pe-header.ts'

/** The server that is to boot the image. */
export interface BootingServer extends Pick<DeployOptions, 'boot' | 'efiBootloaderPath' | 'transport'> {
  /** null: any. */
  cpu: Cpu | null
}

export interface BootVerdict {
  /** null for a legacy server, and where there is no loader or none can be looked at yet. */
  boot: EfiBoot | null
  /** What does not prevent the deployment but may prevent booting, one sentence each. */
  notes: string[]
}

/**
 * Whether this server boots the image, as far as the image can be looked at.
 * @throws ImagingError BOOT when it does not; GPT when the partition table cannot be used
 */
export async function checkBoot(
  image: ImageReader,
  diskSize: number,
  server: Omit<BootingServer, 'cpu'>,
): Promise<BootVerdict> {
  const facts = await lookAtBoot(image, diskSize, server.efiBootloaderPath)
  return judgeBoot(facts, { ...server, cpu: ownCpu() })
}

/** @throws ImagingError BOOT when the server does not boot the image */
export function judgeBoot(facts: BootFacts, server: BootingServer): BootVerdict {
  const bus = warnOfBus(facts.kernels ?? [], server.transport)
  const notes = bus === null ? [] : [bus]
  if (server.boot === 'legacy') return { boot: null, notes: [...judgeBootCode(facts), ...notes] }
  const { boot, note } = chooseLoader(facts, server)
  return { boot, notes: note === null ? notes : [note, ...notes] }
}

/** This program runs on the server that is to boot. */
const ownCpu = (): Cpu => (process.arch === 'arm64' ? 'arm64' : 'x64')
