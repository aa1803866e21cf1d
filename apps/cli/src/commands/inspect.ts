import type { Bus } from '@byoi/imaging'
import { type Command, Option } from 'commander'
import { CommandFailed, type Context } from '../context.ts'
import { everyAddress, ImageRefused, runImageCommand, shownLocation } from '../image-command.ts'
import { inspectionPage } from '../inspect-page/page.ts'
import { terminalStyle } from '../inspect-page/terminal-style.ts'
import { parseHeader, parseLocation, parseType } from '../parse-image.ts'
import { parseSize } from '../parse-size.ts'
import { collect } from '../repeatable.ts'

/** Not read from the engine, which is loaded when it is needed. */
const buses: readonly Bus[] = ['virtio', 'nvme', 'sata', 'sas', 'usb']

interface InspectOptions {
  type?: string
  boot?: 'uefi' | 'legacy'
  bus?: Bus
  diskSize?: string
  sectorSize: '512' | '4096'
  header: string[]
  json?: boolean
}

export function addInspect(program: Command, context: Context): void {
  program
    .command('inspect')
    .description('what an image is, and whether it would deploy and boot; changes nothing')
    .argument('<url|file>', 'where the image is')
    .option(
      '--type <type>',
      'what it is declared as: qcow2, raw, ova or vmdk; default: what its first bytes say',
    )
    .addOption(
      new Option('--boot <mode>', 'would a server with this firmware boot it?').choices(['uefi', 'legacy']),
    )
    .addOption(new Option('--bus <bus>', 'would its kernel see a disk on this bus?').choices([...buses]))
    .option('--disk-size <size>', 'would it fit a disk of this size, such as 12GiB?')
    .addOption(
      new Option('--sector-size <bytes>', 'sector size of that disk').choices(['512', '4096']).default('512'),
    )
    .option('--header <header>', "'Name: value' to send with every request; may be repeated", collect, [])
    .option('--json', 'only the JSON object, no page')
    .addHelpText(
      'after',
      '\nA page for people; where standard output is no terminal, and with --json, its last line is one JSON object.\nSizes are bytes, or binary units: 12GiB, 512M.',
    )
    .action((location: string, options: InspectOptions) => inspect(location, options, context))
}

async function inspect(location: string, options: InspectOptions, context: Context): Promise<void> {
  // Loaded here: the commands that only call the API start without the engine.
  const { inspectImage } = await import('@byoi/imaging')
  const image = { location, type: options.type, checksum: undefined }
  await runImageCommand(image, context, async () => {
    const { found, refusal } = await inspectImage({
      image: {
        ...parseLocation(location),
        type: options.type === undefined ? null : parseType(options.type),
        httpHeader: options.header.map((header) => parseHeader(header)),
      },
      boot: options.boot ?? null,
      bus: options.bus ?? null,
      diskSize: options.diskSize === undefined ? null : parseSize(options.diskSize),
      sectorSize: options.sectorSize === '4096' ? 4096 : 512,
      addressPolicy: everyAddress,
      signal: context.interruptible(),
    })
    if (options.json !== true) {
      const question = { location: shownLocation(location), boot: options.boot ?? null }
      context.stdout.write(`${inspectionPage(found, question, terminalStyle(context))}\n`)
      if (context.stdout.isTTY) {
        if (refusal) throw new CommandFailed('', { cause: refusal })
        return null
      }
    }
    if (refusal) throw new ImageRefused(refusal, { ...found })
    return { status: 'ok', ...found }
  })
}
