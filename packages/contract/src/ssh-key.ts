/** The words with which an OpenSSH public key line may begin. */
const curves: Record<string, { name: string; bytes: number }> = {
  'ecdsa-sha2-nistp256': { name: 'nistp256', bytes: 32 },
  'ecdsa-sha2-nistp384': { name: 'nistp384', bytes: 48 },
  'ecdsa-sha2-nistp521': { name: 'nistp521', bytes: 66 },
  'sk-ecdsa-sha2-nistp256@openssh.com': { name: 'nistp256', bytes: 32 },
}
const minRsaBits = 2048
const maxRsaBits = 16_384

/**
 * Whether the text is one line `type base64 [comment]` of an OpenSSH public key that today's OpenSSH takes: ssh-ed25519,
 * ssh-rsa of 2048 bits or more, ecdsa-sha2-nistp256/384/521 and the two sk- types (RFC 4253 section 6.6, RFC 5656
 * section 3.1, RFC 8709 section 4, OpenSSH PROTOCOL.u2f). No options, no certificates, no ssh-dss.
 */
export function isSshPublicKey(line: string): boolean {
  const [, type, base64] = /^(\S+) ([A-Za-z0-9+/]+={0,2})(?: [^\p{Cc}]*)?$/u.exec(line) ?? []
  if (type === undefined || base64 === undefined) return false
  const blob = Buffer.from(base64, 'base64')
  if (blob.toString('base64') !== base64) return false
  const fields = readFields(blob)
  return fields !== null && fields[0]?.toString('latin1') === type && isKey(type, fields.slice(1))
}

/** Splits an SSH blob into its length-prefixed fields; null when they do not fill it exactly. */
function readFields(blob: Buffer): Buffer[] | null {
  const fields: Buffer[] = []
  let at = 0
  while (at < blob.length) {
    if (blob.length - at < 4) return null
    const end = at + 4 + blob.readUInt32BE(at)
    if (end > blob.length) return null
    fields.push(blob.subarray(at + 4, end))
    at = end
  }
  return fields
}

function isKey(type: string, fields: Buffer[]): boolean {
  const [first, second, third] = fields
  if (type === 'ssh-ed25519') return fields.length === 1 && first?.length === 32
  if (type === 'sk-ssh-ed25519@openssh.com') return fields.length === 2 && first?.length === 32
  if (type === 'ssh-rsa') return fields.length === 2 && isRsa(first, second)
  const curve = Object.hasOwn(curves, type) ? curves[type] : undefined
  if (curve === undefined || fields.length !== (type.startsWith('sk-') ? 3 : 2)) return false
  if (type.startsWith('sk-') && third?.length === 0) return false
  // An uncompressed point (SEC 1 section 2.3.3): 4, x, y.
  const isPoint = second?.length === 1 + 2 * curve.bytes && second[0] === 4
  return first?.toString('latin1') === curve.name && isPoint
}

function isRsa(exponent: Buffer | undefined, modulus: Buffer | undefined): boolean {
  if (exponent === undefined || modulus === undefined) return false
  const bits = mpintBits(modulus)
  const odd = ((exponent.at(-1) ?? 0) & 1) === 1 && ((modulus.at(-1) ?? 0) & 1) === 1
  return odd && bits >= minRsaBits && bits <= maxRsaBits && mpintBits(exponent) >= 2
}

/** Bits of a positive mpint (RFC 4251 section 5); 0 for a negative or padded one. */
function mpintBits(mpint: Buffer): number {
  const first = mpint[0] ?? 0x80
  if (first >= 0x80 || (first === 0 && (mpint[1] ?? 0) < 0x80)) return 0
  const significant = first === 0 ? mpint.subarray(1) : mpint
  return significant.length * 8 - Math.clz32(significant[0] ?? 0) + 24
}
