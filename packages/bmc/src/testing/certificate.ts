import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const openssl = (...args: string[]) => promisify(execFile)('openssl', args)

/** A self-signed certificate as BMCs ship them, with a key of its own. PEM. `expired`: since yesterday. */
export async function makeCertificate({ expired = false } = {}): Promise<{ key: string; cert: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-cert-'))
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  try {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    await openssl('req', '-x509', ...curve, '-subj', '/CN=bmc', '-days', '30', '-keyout', key, '-out', cert)
    if (expired) await openssl('x509', '-in', cert, '-signkey', key, '-days', '-1', '-out', cert)
    return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
  } finally {
    await rm(directory, { recursive: true })
  }
}
