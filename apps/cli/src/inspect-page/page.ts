import type { Inspection, Verdict } from '@byoi/imaging'
import { bytesText } from '../progress-line.ts'
import { layoutBar } from './layout-bar.ts'
import { segmentsOf } from './layout.ts'
import { safeText } from './safe-text.ts'
import { paint, type TerminalStyle } from './terminal-style.ts'

/** What was asked. */
export interface Question {
  /** As it may be shown: without secrets. */
  location: string
  boot: 'uefi' | 'legacy' | null
}

const INDENT = '  '

/** An inspection as a page for people, its last line ended. Words of the image are made safe for a terminal. */
export function inspectionPage(found: Inspection, question: Question, style: TerminalStyle): string {
  const segments = segmentsOf(found)
  const sections: [title: string, lines: string[]][] = [
    [safeText(question.location), columns(imageRows(found))],
    [tableTitle(found), tableLines(found)],
    ['Layout', segments ? layoutBar(segments, style, INDENT) : []],
    ['Boot', columns(bootRows(found))],
    ['First boot', columns(firstBootRows(found))],
    ['Verdict', verdictLines(found, question, style)],
    ['Notes', found.notes.map((note) => INDENT + safeText(note))],
    ['Warnings', found.warnings.map((warning) => paint(style, 'yellow', INDENT + safeText(warning)))],
  ]
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${paint(style, 'bold', title)}\n${lines.join('\n')}\n`)
    .join('\n')
}

/** Rows in aligned columns, indented; what an image says in them is made safe. */
function columns(rows: string[][]): string[] {
  const safe = rows.map((row) => row.map((cell) => safeText(cell)))
  const widths = (safe[0] ?? []).map((_, column) =>
    Math.max(...safe.map((row) => widthOf(row[column] ?? ''))),
  )
  return safe.map((row) =>
    (
      INDENT + row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell))).join('  ')
    ).trimEnd(),
  )
}

/** Characters, most of which take one cell. */
const widthOf = (text: string): number => Array.from(text).length

const exactly = (bytes: number): string => `${bytesText(bytes)} (${bytes} bytes)`

function imageRows(found: Inspection): string[][] {
  const { format, packing, clusterSize, compression, virtualSize, bytesServed, bytesAllocated } = found
  const clusters = clusterSize === null ? '' : `, clusters of ${bytesText(clusterSize)}`
  const compressed =
    compression === null ? '' : `, compressed by ${compression === 'deflate' ? 'zlib' : compression}`
  const { reads, bytes } = found.fetched
  return [
    ['format', `${format}${clusters}${compressed}`],
    ...(packing === null ? [] : [['packed by', packing]]),
    ['virtual size', virtualSize === null ? 'not known' : exactly(virtualSize)],
    ['served size', bytesServed === null ? 'not known' : exactly(bytesServed)],
    ...(bytesAllocated === null ? [] : [['with data', exactly(bytesAllocated)]]),
    ['looked at by', `${reads} ${found.ranged ? 'ranged reads' : 'reads of its begin'}, ${bytesText(bytes)}`],
  ]
}

function tableTitle({ table }: Inspection): string {
  if (table === null) return 'Partition table'
  return table.kind === 'none' ? 'No partition table' : `Partition table: ${table.kind.toUpperCase()}`
}

function tableLines({ table, fileSystem }: Inspection): string[] {
  if (table === null) return [`${INDENT}could not be looked at, or cannot be used`]
  if (table.kind === 'none')
    return columns([
      ['file system', fileSystem?.type ?? 'none that is known'],
      ['label', fileSystem?.label ?? '-'],
      ['UUID', fileSystem?.uuid ?? '-'],
    ])
  const rows = table.partitions.map(
    ({ number, offset, length, type, typeName, name, fileSystem: volume }) => [
      String(number),
      bytesText(offset),
      bytesText(length),
      typeName ?? type,
      name || '-',
      volume?.type ?? '-',
      volume?.label ?? '-',
      volume?.uuid ?? '-',
    ],
  )
  const blind = table.partitions
    .filter(({ notLookedInto }) => notLookedInto !== null)
    .map(
      ({ number, notLookedInto }) =>
        `${INDENT}partition ${number} not looked into: ${safeText(notLookedInto ?? '')}`,
    )
  return [...columns([['nr', 'begin', 'size', 'type', 'name', 'holds', 'label', 'UUID'], ...rows]), ...blind]
}

const inPartition = (number: number): string => (number === 0 ? '' : `partition ${number}: `)

function bootRows({ hasBiosBootCode, biosBootCode, efi, kernels, consoles }: Inspection): string[][] {
  const loaders = (efi ?? []).flatMap(({ number, loaders: found }) =>
    found.map(({ path, cpu }) => `${inPartition(number)}${path} (${cpu})`),
  )
  return [
    ...listed('UEFI loaders', efi === null ? ['not known'] : loaders),
    ['BIOS boot code', hasBiosBootCode === null ? 'not known' : (biosBootCode ?? 'none')],
    ...listed('kernels', kernels === null ? ['not known'] : kernels),
    ...listed(
      'consoles',
      consoles.map(
        ({ partition, path, consoles: names }) =>
          `${names.join(', ') || 'none named'} (${inPartition(partition)}${path})`,
      ),
      'not known',
    ),
  ]
}

/** One row for each, the name in front of the first. */
const listed = (name: string, values: string[], none = 'none'): string[][] =>
  (values.length > 0 ? values : [none]).map((value, index) => [index === 0 ? name : '', value])

function firstBootRows({ cloudInit, configPartition, table }: Inspection): string[][] {
  if (table === null) return []
  const brought =
    configPartition === null
      ? 'none in the image'
      : `partition ${configPartition}; a deployment with one replaces it`
  return [
    [
      'cloud-init',
      cloudInit === null ? 'not known: no root file system that is read here' : cloudInitText(cloudInit),
    ],
    ['config drive', brought],
  ]
}

function cloudInitText({
  partition,
  isInstalled,
  isDisabled,
  dataSources,
}: NonNullable<Inspection['cloudInit']>): string {
  if (!isInstalled) return `${inPartition(partition)}not installed`
  const sources =
    dataSources === null ? 'its own list of data sources' : `data sources ${dataSources.join(', ') || 'none'}`
  return `${inPartition(partition)}${isDisabled ? 'disabled' : 'installed'}, ${sources}`
}

function verdictLines({ verdicts, target }: Inspection, { boot }: Question, style: TerminalStyle): string[] {
  const asked: [string, Verdict | null][] = [
    [target === null ? 'fits a disk' : `fits a disk of ${bytesText(target.size)}`, verdicts.fits],
    [`boots by ${boot === 'uefi' ? 'UEFI' : 'BIOS'}`, verdicts.boots],
  ]
  const shown = asked.filter(([, verdict]) => verdict !== null)
  const width = Math.max(...shown.map(([name]) => name.length), 0)
  const lines = shown.map(
    ([name, verdict]) => `${INDENT}${name.padEnd(width)}  ${verdictText(verdict, style)}`,
  )
  return [...lines, ...roomLines(target)]
}

function verdictText(verdict: Verdict | null, style: TerminalStyle): string {
  if (verdict === null) return ''
  const colour = ({ yes: 'green', no: 'red', unknown: 'yellow' } as const)[verdict.answer]
  const sentences = [verdict.cause, verdict.remedy].filter((each) => each !== null).join(' ')
  return `${paint(style, colour, verdict.answer)}: ${safeText(sentences)}`
}

function roomLines(target: Inspection['target']): string[] {
  if (!target || target.free === null) return []
  const drive = target.configDrive
  const place = drive ? `a config drive goes to byte ${drive.offset}` : 'there is no place for a config drive'
  return [`${INDENT}${bytesText(target.free)} stay free behind the last partition; ${place}`]
}
