import { type Meaning } from './ipmi-failure.ts'
import { giveAdministrator, waitForBmc } from './remedies.ts'

const busy = { fault: 'busy', outcome: 'refused', retry: 'later', remedy: waitForBmc } as const
const unsupported = {
  fault: 'refused',
  outcome: 'refused',
  retry: 'unsupported',
  remedy: "Update the BMC's firmware, or manage this server by Redfish.",
} as const

/** IPMI 2.0, table 5-2, in ipmitool's words (`completion_code_vals`). */
export const completions: Record<string, Omit<Meaning, 'message'>> = {
  'Node busy': busy,
  Timeout: { ...busy, outcome: 'unknown' },
  'Out of space': busy,
  'BMC initialization in progress': busy,
  'Device firmeware in update mode': { ...busy, retry: 'never' },
  'SDR Repository in update mode': { ...busy, retry: 'never' },
  'Insufficient privilege level': { ...unsupported, retry: 'never', remedy: giveAdministrator },
  'Command not supported in present state': {
    ...busy,
    retry: 'state',
    remedy: 'Look at the server: it may be in its self-test.',
  },
  'Invalid command': unsupported,
  'Invalid command on LUN': unsupported,
  'Request data length invalid': unsupported,
  'Parameter out of range': unsupported,
  'Invalid data field in request': unsupported,
  'Cannot execute command, command disabled': unsupported,
}

/** Such as "Unspecified error": the BMC tried and cannot say how far it came. */
export const otherCompletion = { ...unsupported, outcome: 'unknown' } as const
