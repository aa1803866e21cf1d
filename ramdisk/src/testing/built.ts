/** A ramdisk that is built for tests: packed quickly, with a probe in the agent's place. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type BootMedium, checkShape, type RamdiskFlavour, RamdiskManifest } from '@byoi/contract'
import { buildRamdisk } from '../build-ramdisk.ts'

/** What is on a test's console, in place of the agent's words. */
export interface ProbeFacts {
  /** Seconds from the kernel's start until the probe ran. */
  started: number
  memoryAvailable: number
  medium: string
  words: string
  thread: string
  disks: string[]
  ports: string[]
  secureBoot: boolean
}

export interface Built {
  manifest: RamdiskManifest
  path: (name: string) => string
  read: (name: string) => Buffer
}

const cacheHome = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')

/** Builds into the directory `out`. The manifest is what was written, checked against its schema. */
export async function buildForTest(flavour: RamdiskFlavour, out: string): Promise<Built> {
  await buildRamdisk({
    flavour,
    out,
    cache: join(cacheHome, 'byoi/debian'),
    fast: true,
    entry: join(import.meta.dirname, 'probe-agent.ts'),
    release: '0.0.0',
    progress: () => undefined,
  })
  const path = (name: string): string => join(out, name)
  const read = (name: string): Buffer => readFileSync(path(name))
  const manifest = checkShape(RamdiskManifest, JSON.parse(read('manifest.json').toString()), 'manifest')
  return { manifest, path, read }
}

export const medium: BootMedium = {
  controlUrl: 'https://192.0.2.1/',
  caPem: 'none',
  server: 'ns1.example.test',
  epoch: 7,
  secret: 'secret',
  time: 1_800_000_000,
  network: null,
}

/** What the probe printed. */
export function factsOn(console: string): ProbeFacts {
  const line = /^probe: (.*)$/m.exec(console)?.[1]
  assert.ok(line !== undefined, `no probe ran: ${console.slice(-2000)}`)
  return JSON.parse(line) as ProbeFacts
}
