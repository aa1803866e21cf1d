import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type RamdiskFlavour, ramdiskFlavours } from '@byoi/contract'
import { buildRamdisk } from './build-ramdisk.ts'
import { agentEntry } from './image/agent-bundle.ts'

const usage = `Usage: byoi ramdisk build [options]

Builds what servers boot into RAM: kernel, initramfs and an ISO for virtual media, from Debian 12 packages that it downloads. Needs
apt-get and dpkg-deb, and no root.

Options:
  --flavour NAME  cloud: virtual servers (virtio, NVMe); generic: common server hardware (default)
  --out DIR       directory for the files (default: ~/.cache/byoi/ramdisk/NAME)
  --fast          pack quickly: a larger initramfs, for tests
  --json          print the manifest as the last line of standard output
  -h, --help      this text

Exit status: 0 done, 1 failed, 2 wrong usage.
`

interface Options {
  flavour: RamdiskFlavour
  out: string | undefined
  fast: boolean
  json: boolean
}

/** Exit status: 0 done, 1 failed, 2 wrong usage. */
async function main(args: string[], cacheHome: string): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage)
    return 0
  }
  const options = readOptions(args)
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n(--help shows what there is)\n`)
    return 2
  }
  try {
    const { flavour, fast, json } = options
    const out = resolve(options.out ?? join(cacheHome, 'byoi/ramdisk', flavour))
    const manifest = await buildRamdisk({
      flavour,
      out,
      fast,
      cache: join(cacheHome, 'byoi/debian'),
      entry: agentEntry,
      release: await release(),
      progress: (line) => process.stderr.write(`${line}\n`),
    })
    process.stdout.write(json ? `${JSON.stringify({ out, ...manifest })}\n` : `${out}\n`)
    return 0
  } catch (error) {
    process.stderr.write(
      `The ramdisk was not built: ${error instanceof Error ? error.message : String(error)}\n`,
    )
    return 1
  }
}

/** The options, or what is wrong with them. */
function readOptions(args: string[]): Options | string {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        flavour: { type: 'string', default: 'generic' },
        out: { type: 'string' },
        fast: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    })
    const flavour = ramdiskFlavours.find((each) => each === values.flavour)
    if (positionals.length !== 1 || positionals[0] !== 'build')
      return 'The only thing to do with a ramdisk is: build'
    if (flavour === undefined) return `--flavour is ${ramdiskFlavours.join(' or ')}, not ${values.flavour}.`
    return { ...values, flavour, out: values.out }
  } catch (error) {
    return (error as Error).message
  }
}

async function release(): Promise<string> {
  const manifest = await readFile(join(import.meta.dirname, '../../package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

const cacheHome = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
process.exitCode = await main(process.argv.slice(2), cacheHome)
