import type { Job } from './jobs.ts'
import type { Workers } from './workers.ts'
import type { WrittenMap } from './written-map.ts'

type RegionJob = Job & { kind: 'verify' | 'zero' }

/** Regions of one job: 16 MiB, so that a worker answers often enough to show progress and to be stopped. */
const REGIONS_PER_JOB = 8

/**
 * Lets the workers go through the regions of the disk, in parallel. `jobOf` gives the job for regions `from` to before
 * `to`, or null where there is nothing to do; `onBytes` hears how many bytes each job handled.
 */
export async function eachRegion(
  workers: Workers,
  written: WrittenMap,
  jobOf: (from: number, to: number) => RegionJob | null,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let next = 0
  const nextJob = (): RegionJob | null => {
    while (next < written.regions) {
      const from = next
      next = Math.min(next + REGIONS_PER_JOB, written.regions)
      const job = jobOf(from, next)
      if (job) return job
    }
    return null
  }
  const lane = async () => {
    for (let job = nextJob(); job; job = nextJob()) onBytes(await workers.run(job))
  }
  await Promise.all(Array.from({ length: workers.places }, lane))
}
