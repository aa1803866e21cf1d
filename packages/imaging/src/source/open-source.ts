import type { AddressPolicy } from './address-policy.ts'
import { cancelled } from './fault.ts'
import { type FetchLimits, fetchLimits } from './fetch-limits.ts'
import { openFileSource } from './file-source.ts'
import { openHttpSource } from './http-source.ts'
import type { HeaderList } from './request.ts'
import type { ImageSource } from './source.ts'

export interface OpenSourceRequest {
  /** http or https URL; a path where `file` is true. */
  url: string
  file?: boolean
  /** Sent to the origin of `url` only. */
  httpHeader: HeaderList
  policy: AddressPolicy
  signal?: AbortSignal
  /** A checksum of the whole file will be compared: without one, a file whose end cannot be known is refused. */
  hasCheckSum: boolean
  /** Hears of lost connections and further attempts; lines hold no secrets. */
  onLog?: (line: string) => void
  limits?: Partial<FetchLimits>
}

/**
 * Opens an image. Over HTTP this takes one or two requests and reads at most one byte of the image.
 * @throws ImagingError DOWNLOAD where the image cannot be had, TIMEOUT where the server is silent, CANCELLED
 */
export function openSource(request: OpenSourceRequest): Promise<ImageSource> {
  const { url, policy, hasCheckSum, httpHeader: headers } = request
  const signal = request.signal ?? new AbortController().signal
  if (signal.aborted) return Promise.reject(cancelled())
  if (request.file) return openFileSource(url, signal)
  const limits = { ...fetchLimits, ...request.limits }
  return openHttpSource({
    url,
    headers,
    policy,
    limits,
    signal,
    hasCheckSum,
    onLog: request.onLog ?? (() => undefined),
  })
}
