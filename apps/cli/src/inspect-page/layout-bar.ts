import { bytesText } from '../progress-line.ts'
import { cellsOf, type Segment } from './layout.ts'
import { type Colour, paint, type TerminalStyle } from './terminal-style.ts'

interface Look {
  unicode: string
  ascii: string
  colour: Colour
}

const looks: Record<Segment['kind'], Look> = {
  table: { unicode: '▐', ascii: '|', colour: 'yellow' },
  partition: { unicode: '█', ascii: '#', colour: 'cyan' },
  free: { unicode: '░', ascii: '.', colour: 'bold' },
  'config drive': { unicode: '▚', ascii: '%', colour: 'green' },
  'backup GPT': { unicode: '▌', ascii: '|', colour: 'yellow' },
}
/** Every second partition, so that neighbours can be told apart without colours. */
const second: Look = { unicode: '▓', ascii: '=', colour: 'blue' }

const names: Partial<Record<Segment['kind'], string>> = {
  table: 't partition table',
  'config drive': 'c config drive',
  'backup GPT': 'g backup GPT',
}

/** A bar to scale, its marks below it, and what they mean; empty where there are more segments than cells. */
export function layoutBar(segments: Segment[], style: TerminalStyle, indent: string): string[] {
  const cells = cellsOf(
    segments.map(({ length }) => length),
    style.columns - 2 * indent.length,
  )
  if (!cells) return []
  let partitions = 0
  let bar = ''
  let marks = ''
  for (const [index, { kind, mark }] of segments.entries()) {
    const count = cells[index] ?? 1
    const look = kind === 'partition' && partitions++ % 2 === 1 ? second : looks[kind]
    bar += paint(style, look.colour, (style.isUnicode ? look.unicode : look.ascii).repeat(count))
    marks += (mark.length <= count ? mark : '+').padEnd(count)
  }
  return [bar, marks.trimEnd(), legend(segments, style)].map((line) => indent + line)
}

function legend(segments: Segment[], { isUnicode }: TerminalStyle): string {
  const free = segments.filter(({ kind }) => kind === 'free').reduce((sum, { length }) => sum + length, 0)
  const glyph = isUnicode ? looks.free.unicode : looks.free.ascii
  const parts = segments.map(({ kind }) => names[kind]).filter((name) => name !== undefined)
  return [...new Set(parts), ...(free > 0 ? [`${glyph} free, ${bytesText(free)}`] : [])].join('   ')
}
