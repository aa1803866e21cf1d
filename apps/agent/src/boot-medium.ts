import { readFile } from 'node:fs/promises'
import type { BootMedium } from '@byoi/contract'

/**
 * Reads the boot medium at `path`. Throws an Error with one sentence when it cannot be read or lacks a field; the sentence
 * never holds the medium's content.
 */
export async function readBootMedium(path: string): Promise<BootMedium> {
  const medium = parsed(await readFile(path, 'utf8'))
  for (const field of ['controlUrl', 'caPem', 'server', 'secret'] as const)
    if (typeof medium?.[field] !== 'string') throw new Error(`The boot medium has no ${field}.`)
  if (!Number.isSafeInteger(medium?.epoch)) throw new Error('The boot medium has no epoch.')
  const found = medium as BootMedium
  if (!URL.canParse(found.controlUrl) || new URL(found.controlUrl).protocol !== 'https:')
    throw new Error('The control URL of the boot medium is no https URL.')
  return found
}

/** undefined where the text is no JSON: the parser's message would quote it, and it holds the boot secret. */
function parsed(text: string): Partial<Record<keyof BootMedium, unknown>> | null | undefined {
  try {
    return JSON.parse(text) as Partial<Record<keyof BootMedium, unknown>> | null
  } catch {
    return undefined
  }
}
