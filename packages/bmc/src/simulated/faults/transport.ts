import { type Fault } from '../fault.ts'

const never = new AbortController().signal

/** Answers that come late, broken or not at all. */
export const transportFaults = {
  /** Takes each request and says nothing for a minute, then hangs up. */
  silent:
    ({ clock }) =>
    async () => {
      await clock.sleep(60_000, never)
      return { status: 0, headers: {} }
    },
  /** Each answer comes 30 s late. */
  'late-30s':
    ({ clock }) =>
    async (exchange, next) => {
      await clock.sleep(30_000, never)
      return await next(exchange)
    },
} satisfies Record<string, Fault>
