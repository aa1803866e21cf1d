import { type BootVerdict, judgeBoot } from '../boot/check-boot.ts'
import type { BootFacts } from '../boot/look-at-boot.ts'
import { ImagingError } from '../error.ts'
import { bootCodeOf } from '../boot/boot-code.ts'
import type { InspectOptions, Verdict } from './inspection.types.ts'

export interface StartJudgement {
  boots: Verdict | null
  refusal: ImagingError | null
  notes: string[]
}

/** Whether a server with the firmware and the bus that are asked about boots it, whatever its CPU. */
export function judgeStart(
  facts: BootFacts,
  { boot, bus }: Pick<InspectOptions, 'boot' | 'bus'>,
): StartJudgement {
  try {
    const server = { boot, efiBootloaderPath: null, transport: bus, cpu: null }
    const verdict = judgeBoot(facts, server)
    return { boots: boot && yesOrUnknown(facts, boot, verdict), refusal: null, notes: verdict.notes }
  } catch (error) {
    if (!(error instanceof ImagingError)) throw error
    const boots = { answer: 'no', cause: error.cause, remedy: error.remedy } as const
    return { boots, refusal: error, notes: [] }
  }
}

function yesOrUnknown(facts: BootFacts, boot: 'uefi' | 'legacy', { boot: chosen }: BootVerdict): Verdict {
  if (boot === 'legacy' && facts.sector) {
    const cause = `The BIOS starts the boot code of the first sector (${bootCodeOf(facts.sector)}).`
    return { answer: 'yes', cause, remedy: null }
  }
  if (boot === 'uefi' && chosen) {
    const cause = `The firmware starts ${chosen.loader} of partition ${chosen.esp.number}.`
    return { answer: 'yes', cause, remedy: null }
  }
  return {
    answer: 'unknown',
    cause:
      'What decides it cannot be looked at before the image is on the disk; it is then looked at, and a disk that cannot boot is not made bootable.',
    remedy: 'Serve the image unpacked, by a server that supports Range requests.',
  }
}
