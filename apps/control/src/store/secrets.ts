import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Secret } from '@byoi/contract'
import { StartError } from '../start-error.ts'

const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16

/** A key of AES-256-GCM. `purpose` binds a text to its place: what is sealed for one column cannot be opened in another. */
export class SealingKey {
  readonly #key: Buffer

  constructor(key: Buffer) {
    if (key.length !== keyBytes) throw new Error(`A sealing key has ${keyBytes} bytes.`)
    this.#key = key
  }

  static generate(): SealingKey {
    return new SealingKey(randomBytes(keyBytes))
  }

  /** Nonce, tag and ciphertext. The nonce is random: a key seals far fewer than 2^32 texts (NIST SP 800-38D, 8.3). */
  seal(text: Buffer | string, purpose: string): Buffer {
    const nonce = randomBytes(nonceBytes)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    cipher.setAAD(Buffer.from(purpose))
    const sealed = Buffer.concat([cipher.update(text), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed])
  }

  /** Throws when the text was changed, or sealed by another key or for another purpose. */
  open(sealed: Buffer, purpose: string): Buffer {
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, nonceBytes))
    decipher.setAAD(Buffer.from(purpose))
    decipher.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes))
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes + tagBytes)), decipher.final()])
  }

  openText(sealed: Buffer, purpose: string): Secret {
    return new Secret(this.open(sealed, purpose).toString())
  }

  /** This key, sealed by another; `SealingKey.unwrap` gives it back. */
  wrap(by: SealingKey, purpose: string): Buffer {
    return by.seal(this.#key, purpose)
  }

  static unwrap(by: SealingKey, wrapped: Buffer, purpose: string): SealingKey {
    return new SealingKey(by.open(wrapped, purpose))
  }
}

/** Reads `master.key` in a directory, or makes it at the first start (0600). Throws `StartError` when it cannot be used. */
export async function readMasterKey(directory: string): Promise<SealingKey> {
  const path = join(directory, 'master.key')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  try {
    return new SealingKey(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new StartError(
        `The master key ${path} cannot be used.`,
        'Put back the file that was made at the first start: without it nothing stored can be read.',
        error,
      )
    }
  }
  await createKeyFile(path)
  return new SealingKey(await readFile(path))
}

/** Appears whole or not at all, is on disk before it is used, and never replaces a key that is there. */
async function createKeyFile(path: string): Promise<void> {
  // A name of its own, also within this process: what was linked already must not be opened for writing again.
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(randomBytes(keyBytes))
    await file.sync()
  } finally {
    await file.close()
  }
  await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(temporary)
  const directory = await open(dirname(path), 'r')
  await directory.sync()
  await directory.close()
}
