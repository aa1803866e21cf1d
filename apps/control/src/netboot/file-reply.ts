import { readRange } from './byte-range.ts'
import { type Patch, readPatched } from './patched-file.ts'
import { type OpenFile } from './ramdisk.ts'
import { type ProvisioningReply, type ProvisioningRequest } from './route.ts'

/**
 * A file as an answer: its length is told, HEAD and one range are understood (BMCs read a CD in many small pieces, and give up on a
 * server that cannot), and whatever its size it is never in memory as a whole. `etag` changes with the content, quotes included.
 */
export function fileReply(
  request: ProvisioningRequest,
  { file, size, modified }: OpenFile,
  facts: { etag: string; type: string; patches?: readonly Patch[] },
): ProvisioningReply {
  const { range, 'if-range': condition } = request.raw.headers
  const wanted = condition === undefined || condition === facts.etag ? readRange(range, size) : null
  const headers = {
    'Content-Type': facts.type,
    'Accept-Ranges': 'bytes',
    ETag: facts.etag,
    'Last-Modified': modified.toUTCString(),
  }
  const close = () => file.close()
  if (wanted === 'unsatisfiable') {
    const range = { 'Content-Range': `bytes */${size}`, 'Content-Length': 0 }
    return { status: 416, headers: { ...headers, ...range }, body: null, close }
  }
  const { start, end } = wanted ?? { start: 0, end: size }
  return {
    status: wanted === null ? 200 : 206,
    headers: {
      ...headers,
      'Content-Length': end - start,
      ...(wanted === null ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${size}` }),
    },
    body: readPatched(file, { start, end }, facts.patches ?? []),
    close,
  }
}
