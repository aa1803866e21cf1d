import { type Answer, isUnmatched } from './answer.ts'

export interface Patch {
  /** The resource's ETag as it is now; null: it has none. */
  read: () => Promise<string | null>
  write: (ifMatch: string | null) => Promise<Answer>
}

/**
 * A change guarded by `If-Match`, with an ETag exactly as it was given, by the ladder that real BMCs need: a fresh ETag once
 * more (Lenovo changes it between), the strong form of a weak one, none, and any (`*`, where one is demanded and none given).
 * Sources: sushy connector.py `_etag_handler`, FuturFusion/operations-center #1040, ansible/ansible #60031.
 */
export async function patchWithEtag({ read, write }: Patch): Promise<Answer> {
  const etag = await read()
  let answer = await write(etag)
  if (etag === null) return isUnmatched(answer) ? await write('*') : answer
  if (!isUnmatched(answer)) return answer
  const fresh = (await read()) ?? etag
  const strong = /^W\/(".*")$/.exec(fresh)?.[1]
  for (const next of [fresh, ...(strong === undefined ? [] : [strong]), null, '*']) {
    answer = await write(next)
    if (!isUnmatched(answer)) return answer
  }
  return answer
}
