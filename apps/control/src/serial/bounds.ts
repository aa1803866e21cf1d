const kibibyte = 1024
const mebibyte = 1024 * kibibyte

/** What is kept of a recording, in bytes: its beginning and its end. */
export interface Bounds {
  head: number
  tail: number
}

/** How a boot began says as much as how it ended; what is in between is what a flood consists of. */
const ofDeployment: Bounds = { head: mebibyte, tail: 3 * mebibyte }
/** What a server shows outside of deployments, for those who look. */
const ofServer: Bounds = { head: 0, tail: mebibyte }

/** `deploymentId` null: what the server shows outside of deployments. */
export const boundsOf = (deploymentId: string | null): Bounds =>
  deploymentId === null ? ofServer : ofDeployment

/** The bytes, from `from` to before `to`, that are not kept of a recording of `total` bytes; null: all are. */
export const cutOut = ({ head, tail }: Bounds, total: number): { from: number; to: number } | null =>
  total > head + tail ? { from: head, to: total - tail } : null

/** Rows are no longer than this: a viewer is sent a row at a time. */
export const maxRowBytes = 8 * kibibyte
/** Beyond its bounds a recording grows by this much before it is cut. What is read is exact nevertheless. */
export const trimEveryBytes = 64 * kibibyte
