/**
 * The error catalogue: one code, one sentence. The sentences of DOWNLOAD to CFG are OVHcloud's, exact to the character
 * ("Bring Your Own Image" guide of 2020-07-21, error table); the others are ours. A failure also carries a `cause` (what
 * happened, one sentence) and a `remedy` (what to change, one sentence), written where the failure is found.
 */
export const errorCodes = [
  'DOWNLOAD',
  'RAM',
  'FORMAT',
  'SUMTYPE',
  'SUM',
  'WRITE',
  'GPT',
  'CFG',
  'TIMEOUT',
  'BMC',
  'DISK',
  'BOOT',
  'TRUST',
  'CANCELLED',
  'INTERNAL',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/** What the sentences need. `url` must already be without user-info and with its query masked (`maskUrl`). */
export interface ErrorFacts {
  url?: string
  /** Type as declared: qcow2, raw or ova. */
  imageType?: string
  checkSumType?: string
  got?: string
  expected?: string
}

const sentences: Record<ErrorCode, (facts: ErrorFacts) => string> = {
  DOWNLOAD: (f) => `Could not download image located: ${f.url ?? 'unknown'}`,
  RAM: (f) => `Could not download, ${f.imageType ?? 'qcow2'} image is too big to download in memory.`,
  FORMAT: () => 'Bad format image, expected: qcow2, raw.',
  SUMTYPE: () => 'Bad checkSumType, expected: sha1, sha256, md5.',
  SUM: (f) =>
    `Bad ${f.checkSumType ?? 'checkSum'} for downloaded file, got: ${f.got ?? 'unknown'} while expecting ${f.expected ?? 'unknown'}.`,
  WRITE: (f) => `Can't write ${f.imageType ?? 'qcow2'} on disk.`,
  GPT: () => 'Can not move backup GPT data structures to the end of disk.',
  CFG: () => 'Could not create configdrive on disk.',
  TIMEOUT: () => 'The deployment did not get on in time.',
  BMC: () => "Could not control the server's power or boot device.",
  DISK: () => 'The target disk cannot take this image.',
  BOOT: () => 'The image cannot boot on this server.',
  TRUST: () => 'The image could not be verified by its checksum file or signature.',
  CANCELLED: () => 'The deployment was cancelled.',
  INTERNAL: () => 'The deployment failed by a fault of byoi itself.',
}

/** The sentence of a code, as shown in `message`. */
export const errorMessage = (code: ErrorCode, facts: ErrorFacts = {}): string => sentences[code](facts)

/** A failure as it is stored, reported by the agent and shown: code, sentence, cause, remedy. */
export interface Failure {
  code: ErrorCode
  message: string
  cause: string
  remedy: string
}
