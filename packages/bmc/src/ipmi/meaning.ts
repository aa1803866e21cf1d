import { completions, otherCompletion } from './completions.ts'
import { type Meaning } from './ipmi-failure.ts'
import { knownTexts } from './known-texts.ts'
import { checkNetwork } from './remedies.ts'

/** What commands say when the BMC answers with a completion code, here in words. */
const completion =
  /^(?:(?:Get Chassis Power Status|Set Chassis Power Control to \S+|Get Chassis Boot Parameter \d+|Get Device ID command|Get Channel Authentication Capabilities) failed: |Error (?:de-)?activating SOL payload: |Unable to send RAW command \([^)]* rsp=0x\w+\): )(.+)$/gm

/** How a run of ipmitool ended that did not succeed. */
export interface FailedRun {
  /** Why it was killed: it ran too long, or said more than anybody reads. */
  killed: 'time' | 'length' | null
  stderr: string
}

/** Whether the BMC gave a session, whatever became of the command. */
export const hadSession = ({ killed, stderr }: FailedRun): boolean =>
  killed === null && !stderr.includes('Error: Unable to establish IPMI v2 / RMCP+ session')

/** What ipmitool's words amount to. */
export function meaningOf({ killed, stderr }: FailedRun): Meaning {
  if (killed === 'time') return { ...unanswered, message: 'The BMC did not answer in time.' }
  if (killed === 'length') return garbled('The BMC answers with more than anybody can read.')
  const text = stderr.replaceAll('\r', '')
  // The last one is the command's own: before it, ipmitool asks things for itself.
  const code = [...text.matchAll(completion)].at(-1)?.[1]
  if (code !== undefined) {
    const message = `The BMC refuses the command: ${printable(code)}.`
    return { ...(completions[code] ?? otherCompletion), message }
  }
  return knownTexts.find(({ says }) => says.test(text)) ?? garbled(`ipmitool failed: ${lastLine(text)}.`)
}

const unanswered = {
  fault: 'unreachable',
  outcome: 'unknown',
  retry: 'later',
  remedy: checkNetwork,
} as const

/** For an answer that no known text explains. */
export const garbled = (message: string): Meaning => ({
  fault: 'garbled',
  outcome: 'unknown',
  retry: 'once',
  message,
  remedy: 'Check that this is the address of the BMC, and restart the BMC.',
})

const lastLine = (text: string): string =>
  printable(text.trim().split('\n').at(-1) ?? '') || 'it said nothing'

/** A BMC's words reach a log only as plain characters, and not many. */
const printable = (text: string): string => text.replaceAll(/[^ -~]/g, '?').slice(0, 120)
