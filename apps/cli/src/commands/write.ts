import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type DeployOptions, ImagingError, type TargetDisk } from '@byoi/imaging'
import { type Command, Option } from 'commander'
import { configDriveOf, readConfigDriveFile } from '../config-drive-file.ts'
import type { Context } from '../context.ts'
import { engineProgress } from '../engine-progress.ts'
import { everyAddress, runImageCommand } from '../image-command.ts'
import { parseChecksum, parseHeader, parseLocation, parseType } from '../parse-image.ts'
import { parseSize } from '../parse-size.ts'
import { noProgress, progressLine } from '../progress-line.ts'
import { collect } from '../repeatable.ts'
import { parseTrust, type TrustOptions, withTrust } from '../trust-options.ts'
import { UsageError } from '../usage-error.ts'

interface WriteOptions extends TrustOptions {
  to: string
  mirror: string[]
  type: string
  header: string[]
  configdrive?: string
  growLastPartition?: boolean
  dataDisk?: boolean
  size?: string
  sectorSize?: '512' | '4096'
  spool: string
  threads?: string
  yes?: boolean
  json?: boolean
}

export function addWrite(program: Command, context: Context): void {
  const command = program
    .command('write')
    .description('write an image to a disk or file, verified, as the agent does; all its data is lost')
    .argument('<url|file>', 'where the image is')
    .requiredOption('--to <disk|file>', 'target: a block device or a regular file')
    .option('--mirror <disk|file>', 'another target that gets the same image; may be repeated', collect, [])
    .requiredOption('--type <type>', 'what the image is: qcow2, raw, ova or vmdk')
    .option('--checksum <type:hex>', 'digest of the image as served: md5, sha1, sha256 or sha512')
    .option(
      '--header <header>',
      "'Name: value' to send to the image's server with every request; may be repeated",
      collect,
      [],
    )
    .option('--configdrive <file>', "JSON file with OVHcloud's configdrive object; adds a config drive")
    .option(
      '--grow-last-partition',
      'let the last partition reach to the end of the disk, in the partition table',
    )
    .option('--data-disk', 'the image need not hold a partition table; nothing is moved or added')
    .option(
      '--size <size>',
      'size of each target file, such as 12GiB; default: its own, or what the image needs',
    )
    .addOption(
      new Option('--sector-size <bytes>', 'sector size of each target file').choices(['512', '4096']),
    )
    .option('--spool <size>', 'RAM for image data whose place is not known yet', '256MiB')
    .option(
      '--threads <n>',
      'how many hash, decode and write: 1 to 64; default: by processors and memory, 2 to 8',
    )
    .option('--yes', 'do not ask before a block device is overwritten')
    .option('--json', 'no progress on standard error; the result is JSON either way')
    .addHelpText(
      'after',
      '\nThe last line of standard output is one JSON object.\nSizes are bytes, or binary units: 12GiB, 512M.\nA clear-signed checksum file needs --key and no --signature.',
    )
  withTrust(command, {
    value: 'file|string',
    what: 'public key of minisign or OpenPGP that must have signed',
  })
  command.action((location: string, options: WriteOptions) => write(location, options, context))
}

async function write(location: string, options: WriteOptions, context: Context): Promise<void> {
  // Loaded here: the commands that only call the API start without the engine.
  const { deployImage } = await import('@byoi/imaging')
  const image = { location, type: options.type, checksum: options.checksum }
  await runImageCommand(image, context, async () => {
    const deploy = deployOptions(location, options)
    const signal = context.interruptible()
    await confirmOverwrite(options, context, signal)
    const line = options.json ? noProgress : progressLine(context.stderr)
    try {
      const {
        checkSum: checksum,
        checkSumType: checksumType,
        ...rest
      } = await deployImage({
        ...deploy,
        onProgress: engineProgress(line),
        onLog: (text) => line.say(text),
        signal,
      })
      return { status: 'done', format: options.type, ...rest, checksum, checksumType }
    } finally {
      line.end()
    }
  })
}

function deployOptions(location: string, options: WriteOptions): DeployOptions {
  const { size, sectorSize, checksum, configdrive } = options
  if (options.dataDisk && options.growLastPartition)
    throw new UsageError(
      'Give one of --data-disk and --grow-last-partition: no partition of a data disk is changed.',
    )
  const target = (path: string): TargetDisk => ({
    path,
    ...(size === undefined ? {} : { size: parseSize(size) }),
    ...(sectorSize === undefined ? {} : { sectorSize: sectorSize === '4096' ? 4096 : 512 }),
  })
  const drive =
    configdrive === undefined ? null : configDriveOf(readConfigDriveFile(configdrive), randomUUID())
  return {
    image: {
      ...parseLocation(location),
      httpHeader: options.header.map((header) => parseHeader(header)),
      checkSum: checksum === undefined ? null : parseChecksum(checksum),
      ...parseTrust(options),
      type: parseType(options.type),
    },
    disk: target(options.to),
    mirrors: options.mirror.map((path) => target(path)),
    boot: null,
    efiBootloaderPath: null,
    transport: null,
    configDrive: drive,
    growLastPartition: options.growLastPartition ?? false,
    dataDisk: options.dataDisk ?? false,
    addressPolicy: everyAddress,
    spoolBytes: parseSize(options.spool),
    ...(options.threads === undefined ? {} : { threads: parseThreads(options.threads) }),
  }
}

function parseThreads(text: string): number {
  if (!/^([1-9]|[1-5][0-9]|6[0-4])$/.test(text)) throw new UsageError(`--threads takes 1 to 64, not ${text}.`)
  return Number(text)
}

/** Throws ImagingError CANCELLED unless the user says yes to overwriting block devices, now or by `--yes`. */
async function confirmOverwrite(options: WriteOptions, context: Context, signal: AbortSignal): Promise<void> {
  const devices = [options.to, ...options.mirror].filter((path) => isBlockDevice(path)).join(' and ')
  if (options.yes || devices === '') return
  if (!context.stdin.isTTY) throw new UsageError(`To overwrite ${devices} without being asked, give --yes.`)
  context.stderr.write(`All data of ${devices} will be lost. Type yes to go on: `)
  if ((await firstLine(context, signal)) === 'yes') return
  const cause = 'The question whether to overwrite the disk was not answered with yes.'
  const error = new ImagingError('CANCELLED', { cause, remedy: 'Answer yes, or give --yes.' })
  error.disk = 'untouched'
  throw error
}

/** undefined when the input ends or the user interrupts. */
async function firstLine({ stdin }: Context, signal: AbortSignal): Promise<string | undefined> {
  // Not as a terminal: readline would keep the interrupt key for itself.
  const lines = createInterface({ input: stdin, terminal: false })
  const stop = () => lines.close()
  signal.addEventListener('abort', stop)
  try {
    for await (const line of lines) return line.trim()
    return undefined
  } finally {
    signal.removeEventListener('abort', stop)
    lines.close()
  }
}

const isBlockDevice = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isBlockDevice() ?? false
