/**
 * Debian's packages without root: apt-get with directories of its own, and the host's mirrors and proxies where it is a Debian 12
 * itself. Nothing is installed on the host.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, run } from '../run.ts'

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const defaultSources = [
  'deb http://deb.debian.org/debian bookworm main',
  'deb http://deb.debian.org/debian-security bookworm-security main',
]
/** How old the list of packages may be, in ms. */
const listsAge = 24 * 3600_000

/** What apt says of one package. */
export interface PackageRecord {
  name: string
  version: string
  /** Lower-case hex, of the .deb file. */
  sha256: string
  /** Names, without versions. */
  depends: string[]
}

/** Another build may be reading it. */
async function replaceFile(path: string, content: string): Promise<void> {
  await writeFile(`${path}.${process.pid}`, content)
  await rename(`${path}.${process.pid}`, path)
}

/** Lines for sources.list: the host's own mirrors where it is a Debian 12, so that a local mirror is used. */
async function sources(): Promise<string[]> {
  const format = 'deb $(REPO_URI) $(RELEASE) $(COMPONENT) #$(ORIGIN)'
  const lines = (await run('apt-get', ['indextargets', '--format', format, 'Identifier: Packages']))
    .toString()
    .split('\n')
    .filter((line) => line.endsWith(' main #Debian') && line.includes(' bookworm'))
    .map((line) => line.replace(/ #Debian$/, ''))
  const signed = existsSync(keyring) ? `deb [signed-by=${keyring}]` : 'deb'
  return (lines.length > 0 ? lines : defaultSources).map((line) => line.replace(/^deb/, signed))
}

export class Apt {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /**
   * Opens apt on `directory`, which it makes, with lists of packages that are no older than a day; where no mirror answers, with older
   * ones, which `progress` is told.
   *
   * @throws {CommandError} when there is no apt-get, or no mirror answers and there are no lists.
   */
  static async open(directory: string, progress: (line: string) => void): Promise<Apt> {
    const apt = new Apt(directory)
    const folders = ['lists/partial', 'archives/partial'].map((each) => join(directory, each))
    await Promise.all(folders.map((each) => mkdir(each, { recursive: true })))
    await replaceFile(join(directory, 'sources.list'), `${(await sources()).join('\n')}\n`)
    const updated = await stat(apt.#stamp).catch(() => undefined)
    if (updated === undefined) await apt.update()
    else if (updated.mtimeMs < Date.now() - listsAge)
      await apt
        .update()
        .catch(() =>
          progress(`no mirror answers: packages as of ${updated.mtime.toISOString().slice(0, 10)}`),
        )
    return apt
  }

  get #stamp(): string {
    return join(this.#directory, 'updated')
  }

  /** Reads the mirrors' lists again. */
  async update(): Promise<void> {
    await this.#run('apt-get', ['-q', '--error-on=any', 'update'])
    await writeFile(this.#stamp, '')
  }

  /** @throws {CommandError} when a package is not in the lists. */
  async show(names: readonly string[]): Promise<PackageRecord[]> {
    const text = (await this.#run('apt-cache', ['show', '--no-all-versions', ...names])).toString()
    const records = text
      .split('\n\n')
      .filter((each) => each.trim() !== '')
      .map(parseRecord)
    const missing = names.filter((name) => !records.some((record) => record.name === name))
    if (missing.length > 0) throw new CommandError(`Debian 12 has no package ${missing.join(', ')}.`)
    return records
  }

  /** Fetches the newest version of each package into `into`; apt checks size and hash, and the signature of the list. */
  async download(names: readonly string[], into: string): Promise<void> {
    await this.#run('apt-get', ['-q', 'download', ...names], into)
  }

  #run(program: string, args: string[], cwd?: string): Promise<Buffer> {
    const own = (name: string): string => join(this.#directory, name)
    const settings = {
      'Dir::Etc::SourceList': own('sources.list'),
      'Dir::Etc::SourceParts': '/dev/null',
      'Dir::State': own('state'),
      'Dir::State::Lists': own('lists'),
      'Dir::State::Status': '/dev/null',
      'Dir::Cache': this.#directory,
      'APT::Architecture': 'amd64',
      'APT::Architectures::': 'amd64',
      'APT::Sandbox::User': '',
      'Acquire::Languages': 'none',
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    return run(program, [...options, ...args], cwd === undefined ? {} : { cwd })
  }
}

function parseRecord(text: string): PackageRecord {
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? ''
  const depends = field('Depends')
    .split(/[,|]/)
    .map((each) => each.trim().split(/[ :]/)[0] ?? '')
  return { name: field('Package'), version: field('Version'), sha256: field('SHA256'), depends }
}
