import type { Context } from '../context.ts'

/** What may be drawn where a page goes. */
export interface TerminalStyle {
  columns: number
  /** Characters beyond ASCII. */
  isUnicode: boolean
  hasColour: boolean
}

export type Colour = 'bold' | 'red' | 'green' | 'yellow' | 'cyan' | 'blue'

const codes: Record<Colour, number> = { bold: 1, red: 31, green: 32, yellow: 33, cyan: 36, blue: 34 }

/** 80 columns where standard output is no terminal. Colours only on one, and not where NO_COLOR is set (no-color.org). */
export function terminalStyle({ stdout, env }: Pick<Context, 'stdout' | 'env'>): TerminalStyle {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''
  return {
    columns: (stdout.isTTY && stdout.columns) || 80,
    isUnicode: /utf-?8/i.test(locale),
    hasColour: stdout.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
  }
}

export const paint = ({ hasColour }: TerminalStyle, colour: Colour, text: string): string =>
  hasColour ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text
