import { readFile } from 'node:fs/promises'
import { BadParameter, BootMedium, checkShape } from '@byoi/contract'

/**
 * Reads the boot medium at `path`. Throws an Error with one sentence when it cannot be read, is empty or lacks a field; the sentence
 * never holds the medium's content.
 */
export async function readBootMedium(path: string): Promise<BootMedium> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`There is no boot medium that can be read at ${path}: ${cause.code}.`, { cause })
  })
  if (text === '')
    throw new Error('The boot medium is empty: it was not the control plane that started this server.')
  const medium = parsed(text)
  if (!URL.canParse(medium.controlUrl) || new URL(medium.controlUrl).protocol !== 'https:')
    throw new Error('The control URL of the boot medium is no https URL.')
  return medium
}

/** A later control plane may add fields; whether it still works with this agent is for the answer to the join to say. */
const openMedium = { ...BootMedium, additionalProperties: true }

function parsed(text: string): BootMedium {
  try {
    return checkShape(openMedium, jsonOf(text), 'boot medium')
  } catch (cause) {
    const field = cause instanceof BadParameter ? cause.field : ''
    const why = field === '' ? 'is no JSON object' : `has no ${field}, or a wrong one`
    throw new Error(`The boot medium ${why}.`, { cause })
  }
}

/** undefined where the text is no JSON: the parser's own message would quote it, and it holds the boot secret. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
