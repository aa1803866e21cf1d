import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The reason to skip a test that needs `tools`, or false. */
export function lacks(...tools: string[]): string | false {
  const absent = tools.filter(
    (tool) => !(process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, tool))),
  )
  return absent.length > 0 && `not installed: ${absent.join(', ')}`
}

/** A person with gpg and minisign, in a folder of his own that `await using` removes. */
export class Signer implements AsyncDisposable {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(): Promise<Signer> {
    return new Signer(await mkdtemp(join(tmpdir(), 'byoi-signer-')))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run('gpgconf', ['--kill', 'all']).catch(() => undefined)
    await rm(this.folder, { recursive: true, force: true })
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  async write(name: string, content: string | Uint8Array): Promise<string> {
    await writeFile(this.path(name), content)
    return this.path(name)
  }

  /** gpg without questions. Returns what it printed. */
  gpg(...args: string[]): Promise<Buffer> {
    return this.#run('gpg', [
      '--batch',
      '--quiet',
      '--yes',
      '--pinentry-mode',
      'loopback',
      '--passphrase',
      '',
      ...args,
    ])
  }

  /** A new key for signing; `expire` as gpg takes it: `never`, `seconds=1`. Returns its fingerprint. */
  async newKey(name: string, expire = 'never', kind = 'ed25519', ...more: string[]): Promise<string> {
    await this.gpg(...more, '--quick-generate-key', `${name} <${name}@example.test>`, kind, 'sign', expire)
    const listed = (
      await this.gpg('--list-keys', '--with-colons', `=${name} <${name}@example.test>`)
    ).toString()
    return /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? ''
  }

  async publicKey(fingerprint: string): Promise<string> {
    return (await this.gpg('--armor', '--export', fingerprint)).toString()
  }

  /** A signature beside `content` by gpg. `more`: `--armor`, `--textmode`, `--digest-algo SHA1` ... */
  async gpgSign(fingerprint: string, content: string | Uint8Array, ...more: string[]): Promise<Buffer> {
    const path = await this.write('to-sign', content)
    await this.gpg('--local-user', fingerprint, ...more, '--output', `${path}.sig`, '--detach-sign', path)
    return readFile(`${path}.sig`)
  }

  async clearSign(fingerprint: string, content: string, ...more: string[]): Promise<string> {
    const path = await this.write('to-sign', content)
    await this.gpg('--local-user', fingerprint, ...more, '--output', `${path}.asc`, '--clear-sign', path)
    return readFile(`${path}.asc`, 'utf8')
  }

  /** A new key of minisign without a password. Returns its public key's file. */
  async newMinisignKey(name: string): Promise<string> {
    await this.#run('minisign', [
      '-G',
      '-W',
      '-f',
      '-p',
      this.path(`${name}.pub`),
      '-s',
      this.path(`${name}.sec`),
    ])
    return readFile(this.path(`${name}.pub`), 'utf8')
  }

  /** A `.minisig` for `content`. `more`: `-H` for a prehashed one where that is not the default, `-l` for a legacy one. */
  async minisign(name: string, content: string | Uint8Array, ...more: string[]): Promise<Buffer> {
    const path = await this.write('to-sign', content)
    await this.#run('minisign', [
      '-S',
      ...more,
      '-s',
      this.path(`${name}.sec`),
      '-t',
      'a trusted comment',
      '-m',
      path,
    ])
    return readFile(`${path}.minisig`)
  }

  async #run(program: string, args: string[]): Promise<Buffer> {
    const env = { ...process.env, GNUPGHOME: this.folder }
    return (await run(program, args, { encoding: 'buffer', env })).stdout
  }
}
