import { parseArgs } from 'node:util'

/** What the command was asked for. */
export interface Settings {
  runs: number
  seed: number
  parsers: string[]
}

/** Seeds are 32 bits; each run has its own. */
const LARGEST_SEED = 2 ** 32 - 1

/** Null: help was asked for. Throws Error with one sentence. */
export function readSettings(
  args: string[],
  known: readonly string[],
  usual: readonly string[],
): Settings | null {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: 'string', default: '200000' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string', multiple: true },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return null
  const number = (name: 'runs' | 'seed'): number => {
    const value = /^\d{1,10}$/.test(values[name]) ? Number(values[name]) : Number.NaN
    if (!(value >= 1 && value <= LARGEST_SEED))
      throw new Error(`--${name} must be a number from 1 to ${LARGEST_SEED}`)
    return value
  }
  const parsers = values.only ?? [...usual]
  const unknown = parsers.find((each) => !known.includes(each))
  if (unknown !== undefined)
    throw new Error(`--only ${unknown}: no such parser; there are ${known.join(', ')}`)
  return { runs: number('runs'), seed: number('seed'), parsers }
}
