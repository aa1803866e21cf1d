import type { DiskFacts } from '@byoi/contract'
import { type BootTraces, bootTraces } from '@byoi/imaging'
import { diskName } from '../match-disk.ts'

/** A dying disk answers a read after minutes or never; nobody waits for that here. In ms. */
const withinMs = 10_000

/** What is on disks that nothing is written to, and could start instead of the target; a sentence each. Reads their first sectors only. */
export async function otherDiskNotes(
  others: readonly DiskFacts[],
  firmware: 'uefi' | 'legacy',
): Promise<string[]> {
  const notes = others.map(async (disk) => {
    const traces = await tracesOf(disk.path)
    const trace = traceFor(traces, firmware)
    const name = `The disk ${disk.path} (${diskName(disk)}, not the target)`
    if (trace !== null) return [`${name} has ${trace}; the firmware may boot it instead.`]
    return traces.error === null ? [] : [traces.error]
  })
  return (await Promise.all(notes)).flat()
}

/** The same for a server of which no disk is the target yet. */
export async function bootableDisks(disks: readonly DiskFacts[]): Promise<string[]> {
  const found = disks.map(async (disk) => {
    const traces = await tracesOf(disk.path)
    const all = [traceFor(traces, 'legacy'), traceFor(traces, 'uefi')].filter((each) => each !== null)
    if (all.length > 0) return [`The disk ${disk.path} (${diskName(disk)}) has ${all.join(' and ')}.`]
    return traces.error === null ? [] : [traces.error]
  })
  return (await Promise.all(found)).flat()
}

const traceFor = ({ mbrCode, esp }: BootTraces, firmware: 'uefi' | 'legacy'): string | null => {
  if (firmware === 'legacy') return mbrCode ? 'boot code in its first sector' : null
  return esp ? 'an EFI system partition' : null
}

async function tracesOf(path: string): Promise<BootTraces> {
  const { promise: late, resolve } = Promise.withResolvers<BootTraces>()
  const error = `The disk ${path} does not answer within ${withinMs / 1000} s.`
  const timer = setTimeout(() => resolve({ mbrCode: false, table: 'none', esp: false, error }), withinMs)
  try {
    return await Promise.race([bootTraces(path), late])
  } finally {
    clearTimeout(timer)
  }
}
