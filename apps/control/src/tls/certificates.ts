import 'reflect-metadata'
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { StartError } from '../start-error.ts'

/** PEM texts for the HTTPS listener, and the authority that clients and agents trust. */
export interface Certificates {
  key: string
  /** The server's certificate alone: clients have the authority. */
  cert: string
  caPem: string
}

/** RSA, because the network boot firmware of servers takes nothing else. */
const algorithm = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2048,
}
const day = 24 * 3_600_000
const caDays = 3650
const leafDays = 365
const renewDays = 30
/** Clocks of clients may be behind. */
const backdateDays = 1

const serverAuthentication = '1.3.6.1.5.5.7.3.1'

/**
 * Reads the certificate authority in `directory` and the server's certificate, or makes them: the authority once, the certificate
 * again when its names have changed or it expires within 30 days. Throws `StartError` when a file cannot be used.
 */
export async function readCertificates(directory: string, names: string[]): Promise<Certificates> {
  await mkdir(directory, { recursive: true, mode: 0o711 })
  const path = (name: string) => join(directory, name)
  try {
    const authority =
      (await readPair(path('ca.key'), path('ca.pem'))) ??
      (await store(path('ca.key'), path('ca.pem'), await createAuthority()))
    const known = await readPair(path('server.key'), path('server.pem'))
    const usable = known !== null && (await isGood(known, authority, names))
    const server = usable
      ? known
      : await store(path('server.key'), path('server.pem'), await createLeaf(authority, names))
    return { key: server.key, cert: server.certificate, caPem: authority.certificate }
  } catch (cause) {
    throw new StartError(
      `The certificates in ${directory} cannot be used.`,
      'Check that the files can be read and written; without ca.key and ca.pem a new authority is made at the next start.',
      cause,
    )
  }
}

/** Both PEM; the key is PKCS #8. */
interface Pair {
  key: string
  certificate: string
}

async function readPair(keyPath: string, certificatePath: string): Promise<Pair | null> {
  const [key, certificate] = await Promise.all([keyPath, certificatePath].map(readIfThere))
  return key && certificate ? { key, certificate } : null
}

async function readIfThere(path: string): Promise<string | null> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
}

/** The key first: a certificate that is there has its key. */
async function store(keyPath: string, certificatePath: string, pair: Pair): Promise<Pair> {
  await replace(keyPath, pair.key, 0o600)
  await replace(certificatePath, pair.certificate, 0o644)
  return pair
}

async function replace(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${process.pid}.new`
  const file = await open(temporary, 'w', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}

async function isGood(leaf: Pair, authority: Pair, names: string[]): Promise<boolean> {
  const certificate = new x509.X509Certificate(leaf.certificate)
  if (certificate.notAfter.getTime() - Date.now() < renewDays * day) return false
  const issuer = new x509.X509Certificate(authority.certificate)
  if (!(await certificate.verify({ publicKey: issuer, signatureOnly: true }))) return false
  const found = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? []
  const has = found.map(({ value }) => value).sort()
  return JSON.stringify(has) === JSON.stringify([...names].sort())
}

async function createAuthority(): Promise<Pair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    // Several authorities of byoi in one trust store must be told apart.
    name: `CN=byoi certificate authority ${randomBytes(4).toString('hex')}`,
    ...validFor(caDays),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { key: await exportKey(keys.privateKey), certificate: `${certificate.toString('pem')}\n` }
}

async function createLeaf(authority: Pair, names: string[]): Promise<Pair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const issuer = new x509.X509Certificate(authority.certificate)
  const der = createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' })
  const signingKey = await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: 'CN=byoi control plane',
    issuer: issuer.subject,
    ...validFor(leafDays),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([serverAuthentication]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer, false),
    ],
  })
  return { key: await exportKey(keys.privateKey), certificate: `${certificate.toString('pem')}\n` }
}

function validFor(days: number) {
  const now = Date.now()
  return { notBefore: new Date(now - backdateDays * day), notAfter: new Date(now + days * day) }
}

/** 127 random bits, positive (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' })
    .toString()
}
