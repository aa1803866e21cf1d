import { createPublicKey, verify } from 'node:crypto'

const keyBytes = 32
const signatureBytes = 64

/** Whether `signature` (base64) over `text` is by the key (32 raw bytes, RFC 8032). Never throws. */
export function isSignedBy(publicKey: Buffer, text: string, signature: string): boolean {
  const bytes = Buffer.from(signature, 'base64')
  if (publicKey.length !== keyBytes || bytes.length !== signatureBytes) return false
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') }
    return verify(null, Buffer.from(text), createPublicKey({ key: jwk, format: 'jwk' }), bytes)
  } catch {
    return false
  }
}
