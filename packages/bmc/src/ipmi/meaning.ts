import { BmcError, type BmcFault } from '../bmc.ts'

/**
 * `later`: the same again after some seconds, within the command's time. `once`: the same again, one time. `cipher-suite` and
 * `privilege`: again with the next one. `state`: depends on the server's power, which is to be read. `console`: again after
 * whoever has the console was asked to leave. `never`: it would be the same. `unsupported`: likewise, because the BMC does not
 * have what was asked for.
 */
export type Retry =
  | 'later'
  | 'once'
  | 'cipher-suite'
  | 'privilege'
  | 'state'
  | 'console'
  | 'never'
  | 'unsupported'

export interface Meaning {
  fault: BmcFault
  /** `refused`: the command was not carried out for certain. */
  outcome: 'refused' | 'unknown'
  retry: Retry
  /** One sentence each. */
  message: string
  remedy: string
}

interface KnownText extends Meaning {
  /** A line of ipmitool's standard error, as its source has it (release 1.8.19). */
  says: RegExp
}

const noSession = { outcome: 'refused' } as const
const checkAccount = 'Check the user and the password of the BMC, and that the account may use IPMI over LAN.'
const checkNetwork =
  "Check the BMC's address, that UDP port 623 is open, and that IPMI over LAN is enabled on the BMC."
const giveAdministrator =
  'Give the account the privilege ADMINISTRATOR, or at least OPERATOR, for IPMI over LAN.'
const waitForBmc = 'Wait until the BMC is done, or restart it.'

/** The first that fits is meant: what says most comes first. */
const texts: KnownText[] = [
  {
    says: /^(?:prlimit|stdbuf): failed to (?:execute|run command) .*: No such file or directory$/m,
    ...noSession,
    fault: 'unreachable',
    retry: 'never',
    message: 'ipmitool is not installed on the machine of the control plane.',
    remedy: 'Install the package ipmitool.',
  },
  {
    says: /^> RAKP 2 HMAC is invalid$/m,
    ...noSession,
    fault: 'authentication',
    retry: 'never',
    message: 'The BMC does not take the password.',
    remedy: checkAccount,
  },
  {
    says: /^RAKP [24] message indicates an error : (?:unauthorized (?:name|GUID)|invalid name length|invalid integrity check value)$/m,
    ...noSession,
    fault: 'authentication',
    retry: 'never',
    message: 'The BMC does not take the user or the password.',
    remedy: checkAccount,
  },
  {
    says: /^(?:Error in open session response message|RAKP [24] message indicates an error) : (?:no matching cipher suite|no matching (?:authentication algorithm|integrity payload)|invalid (?:authentication|integrity|confidentiality) algorithm|invalid role)$/m,
    ...noSession,
    fault: 'refused',
    retry: 'cipher-suite',
    message: 'The BMC offers neither cipher suite 17 nor 3 to this account.',
    remedy: 'Enable cipher suite 17 or 3 on the BMC, or update its firmware; byoi uses no weaker one.',
  },
  {
    says: /^(?:Unsupported cipher suite ID : \d+|(?:Authentication|Integrity|Encryption) algorithm 0x\w+ is not what we requested 0x\w+)$/m,
    ...noSession,
    fault: 'refused',
    retry: 'cipher-suite',
    message: 'The BMC and ipmitool share neither cipher suite 17 nor 3.',
    remedy: 'Enable cipher suite 17 or 3 on the BMC, or update its firmware; byoi uses no weaker one.',
  },
  {
    says: /^RAKP [24] message indicates an error : (?:inactive session ID|invalid session ID)$/m,
    ...noSession,
    fault: 'busy',
    retry: 'once',
    message: 'The BMC lost the session while it was being opened.',
    remedy: waitForBmc,
  },
  {
    says: /^(?:Error in open session response message|RAKP [24] message indicates an error) : insufficient resources for (?:session|role)$/m,
    ...noSession,
    fault: 'busy',
    retry: 'later',
    message: "The BMC's session table is full.",
    remedy: 'End other IPMI sessions with this BMC, or wait until it drops them.',
  },
  {
    says: /^(?:Error in open session response message|RAKP [24] message indicates an error) : unauthorized role requested$/m,
    ...noSession,
    fault: 'refused',
    retry: 'privilege',
    message: "The account's privilege on the BMC is too low.",
    remedy: giveAdministrator,
  },
  {
    // Before the privilege: without a session the BMC calls every privilege insufficient (openbmc 1812).
    says: /^> Error: no response from RAKP [13] message$/m,
    ...noSession,
    fault: 'unreachable',
    retry: 'later',
    message: 'The BMC stopped answering while a session was being opened.',
    remedy: checkNetwork,
  },
  {
    says: /^Set Session Privilege Level to \w+ failed: (?:Node busy|Timeout|Out of space|BMC initialization in progress)$/m,
    ...noSession,
    fault: 'busy',
    retry: 'later',
    message: 'The BMC is busy.',
    remedy: waitForBmc,
  },
  {
    says: /^Set Session Privilege Level to \w+ failed: .+$/m,
    ...noSession,
    fault: 'refused',
    retry: 'privilege',
    message: "The account's privilege on the BMC is too low.",
    remedy: giveAdministrator,
  },
  {
    says: /^> RAKP 4 message has invalid integrity check value$/m,
    ...noSession,
    fault: 'garbled',
    retry: 'once',
    message: 'The BMC takes the password, but its proof of knowing it is wrong.',
    remedy: 'Clear the BMC key (Kg) on the BMC; byoi logs in with the user and the password alone.',
  },
  {
    says: /^This BMC does not support IPMI v2 \/ RMCP\+$/m,
    ...noSession,
    fault: 'refused',
    retry: 'once',
    message: 'The BMC says that it does not speak IPMI 2.0.',
    remedy: 'Update its firmware, or manage this server by Redfish.',
  },
  {
    says: /^Info: SOL payload already active on another session$/m,
    ...noSession,
    fault: 'in-use',
    retry: 'console',
    message: 'The serial console is in use elsewhere.',
    remedy: 'End the other serial-over-LAN session with this BMC.',
  },
  {
    says: /^Info: SOL payload activation limit reached$/m,
    ...noSession,
    fault: 'in-use',
    retry: 'console',
    message: 'The BMC has no place left for a serial console.',
    remedy: 'End the other serial-over-LAN sessions with this BMC.',
  },
  {
    says: /^Info: SOL payload already de-activated$/m,
    ...noSession,
    fault: 'refused',
    retry: 'unsupported',
    message: 'The BMC has no serial console open.',
    remedy: 'There is nothing to be done.',
  },
  {
    says: /^Info: SOL payload (?:type )?disabled$/m,
    ...noSession,
    fault: 'refused',
    retry: 'never',
    message: 'Serial over LAN is disabled on the BMC, or for this account.',
    remedy: 'Enable serial over LAN on the BMC, and for this account.',
  },
  {
    says: /^Info: cannot activate SOL payload (?:with|without) encryption$/m,
    ...noSession,
    fault: 'refused',
    retry: 'never',
    message: 'The BMC does not give its serial console over this cipher suite.',
    remedy:
      'Set the cipher suite of this server to the other one of 17 and 3, or allow encrypted serial over LAN.',
  },
  {
    says: /^Error: BMC requests SOL session on different port$/m,
    ...noSession,
    fault: 'refused',
    retry: 'never',
    message: 'The BMC wants its serial console on another port, which ipmitool cannot do.',
    remedy: 'Set the port of serial over LAN to that of IPMI on the BMC.',
  },
  {
    says: /^ERROR: Received message with invalid authcode!$/m,
    outcome: 'unknown',
    fault: 'garbled',
    retry: 'once',
    message: "The BMC's answers are damaged, or come from somebody else.",
    remedy: 'Check the network between the control plane and the BMC, and restart the BMC.',
  },
  {
    says: /^(?:Set Session Privilege Level to \w+ failed|Error issuing Get Channel Authentication Capabilities request|Error: Unable to establish IPMI v2 \/ RMCP\+ session)$/m,
    ...noSession,
    fault: 'unreachable',
    retry: 'later',
    message: 'The BMC does not answer, or IPMI over LAN is disabled on it.',
    remedy: checkNetwork,
  },
  {
    says: /^(?:Unable to send RAW command \([^)]*\)|Unable to get Chassis Power Status|Unable to set Chassis Power Control to .+|Error Getting Chassis Boot Parameter \d+|Get Device ID command failed|Error: No response (?:de-)?activating SOL payload)$/m,
    outcome: 'unknown',
    fault: 'unreachable',
    retry: 'later',
    message: 'The BMC took a session and then stopped answering.',
    remedy: checkNetwork,
  },
]

/** What commands say when the BMC answers with a completion code, here in words. */
const completion =
  /^(?:(?:Get Chassis Power Status|Set Chassis Power Control to \S+|Get Chassis Boot Parameter \d+|Get Device ID command|Get Channel Authentication Capabilities) failed: |Error (?:de-)?activating SOL payload: |Unable to send RAW command \([^)]* rsp=0x\w+\): )(.+)$/gm

const busy = { fault: 'busy', outcome: 'refused', retry: 'later', remedy: waitForBmc } as const
const unsupported = {
  fault: 'refused',
  outcome: 'refused',
  retry: 'unsupported',
  remedy: "Update the BMC's firmware, or manage this server by Redfish.",
} as const

/** IPMI 2.0, table 5-2, in ipmitool's words (`completion_code_vals`). */
const completions: Record<string, Omit<Meaning, 'message'>> = {
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
const otherCompletion = { ...unsupported, outcome: 'unknown' } as const

/** A command that failed, with what there is to do about it. */
export class IpmiFailure extends BmcError {
  readonly meaning: Meaning

  constructor(meaning: Meaning, cause?: unknown) {
    super(meaning.message, { ...meaning, cause })
    this.meaning = meaning
  }
}

/** How a run of ipmitool ended that did not succeed. */
export interface FailedRun {
  /** Why it was killed: it ran too long, or said more than anybody reads. */
  killed: 'time' | 'length' | null
  stderr: string
}

/** Whether the BMC gave a session, whatever became of the command. */
export const hadSession = ({ killed, stderr }: FailedRun): boolean =>
  killed === null && !stderr.includes('Error: Unable to establish IPMI v2 / RMCP+ session')

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
  return texts.find(({ says }) => says.test(text)) ?? garbled(`ipmitool failed: ${lastLine(text)}.`)
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
