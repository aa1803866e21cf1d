import { type BmcFault } from '../bmc.ts'
import { type Meaning } from '../ipmi/ipmi-failure.ts'

/** What ipmitool 1.8.19 says, and what the driver makes of it. */
export interface IpmitoolText {
  /** Standard error, without what it says in every run. */
  stderr: string
  fault: BmcFault
  outcome: Meaning['outcome']
  retry: Meaning['retry']
}

const noSession = 'Error: Unable to establish IPMI v2 / RMCP+ session\n'
const openError = (status: string) => `Error in open session response message : ${status}\n\n${noSession}`
const rakp2Error = (status: string) => `RAKP 2 message indicates an error : ${status}\n${noSession}`
const noAnswerTo = (message: string) => `> Error: no response from ${message} message\n`
const powerStatus = (code: string) => `Get Chassis Power Status failed: ${code}\n`
const raw = (code: string, words: string) =>
  `Unable to send RAW command (channel=0x0 netfn=0x0 lun=0x0 cmd=0x8 rsp=${code}): ${words}\n`

const unreachable = { fault: 'unreachable', outcome: 'refused', retry: 'later' } as const
const lost = { fault: 'unreachable', outcome: 'unknown', retry: 'later' } as const
const authentication = { fault: 'authentication', outcome: 'refused', retry: 'never' } as const
const otherSuite = { fault: 'refused', outcome: 'refused', retry: 'cipher-suite' } as const
const otherPrivilege = { fault: 'refused', outcome: 'refused', retry: 'privilege' } as const
const busy = { fault: 'busy', outcome: 'refused', retry: 'later' } as const
const unsupported = { fault: 'refused', outcome: 'refused', retry: 'unsupported' } as const
const garbled = { fault: 'garbled', outcome: 'unknown', retry: 'once' } as const
const inUse = { fault: 'in-use', outcome: 'refused', retry: 'console' } as const

/** By what the BMC does. Sources: lanplus.c, ipmi_chassis.c, ipmi_raw.c, ipmi_sol.c, ipmi_strings.c of ipmitool. */
export const ipmitoolTexts = {
  'says nothing': {
    stderr: `Get Auth Capabilities error\nError issuing Get Channel Authentication Capabilities request\n${noSession}`,
    ...unreachable,
  },
  'does not open a session': {
    stderr: `Set Session Privilege Level to ADMINISTRATOR failed\n${noSession}`,
    ...unreachable,
  },
  'falls silent at RAKP 1': {
    stderr: `${noAnswerTo('RAKP 1').repeat(4)}Set Session Privilege Level to ADMINISTRATOR failed\n${noSession}`,
    ...unreachable,
  },
  'falls silent at RAKP 1, and calls every privilege insufficient': {
    stderr: `${noAnswerTo('RAKP 1')}Set Session Privilege Level to ADMINISTRATOR failed: Insufficient privilege level\n${noSession}`,
    ...unreachable,
  },
  'falls silent at RAKP 3': {
    stderr: `${noAnswerTo('RAKP 3').repeat(4)}Set Session Privilege Level to ADMINISTRATOR failed\n${noSession}`,
    ...unreachable,
  },
  'falls silent at a power reading': {
    stderr: 'Unable to get Chassis Power Status\n',
    ...lost,
  },
  'falls silent at a power command': {
    stderr: 'Unable to set Chassis Power Control to Up/On\n',
    ...lost,
  },
  'falls silent at a raw command': {
    stderr: 'Unable to send RAW command (channel=0x0 netfn=0x0 lun=0x0 cmd=0x8)\n',
    ...lost,
  },
  'has no address': {
    stderr: `Address lookup for a..b failed\nCould not open socket!\n${noSession}`,
    ...unreachable,
  },
  'has another password': { stderr: `> RAKP 2 HMAC is invalid\n${noSession}`, ...authentication },
  'does not know the user': { stderr: rakp2Error('unauthorized name'), ...authentication },
  'finds our proof wrong': {
    stderr: `RAKP 4 message indicates an error : invalid integrity check value\n${noSession}`,
    ...authentication,
  },
  'has no such authentication': { stderr: openError('invalid authentication algorithm'), ...otherSuite },
  'has no such cipher suite': { stderr: openError('no matching cipher suite'), ...otherSuite },
  'gives the role to no such suite': { stderr: openError('invalid role'), ...otherSuite },
  'takes another suite than was asked for': {
    stderr: `Authentication algorithm 0x01 is not what we requested 0x03\n\n${noSession}`,
    ...otherSuite,
  },
  'is talked to by an old ipmitool': {
    stderr: `Unsupported cipher suite ID : 17\n\n${noSession}`,
    ...otherSuite,
  },
  'gives the account less': { stderr: rakp2Error('unauthorized role requested'), ...otherPrivilege },
  'limits the session': {
    stderr: `Set Session Privilege Level to ADMINISTRATOR failed: Insufficient privilege level\n${noSession}`,
    ...otherPrivilege,
  },
  'limits the session, as Cisco does with 1.8.19': {
    stderr: `Set Session Privilege Level to ADMINISTRATOR failed: Unknown (0x81)\n${noSession}`,
    ...otherPrivilege,
  },
  'is busy while a session opens': {
    stderr: `Set Session Privilege Level to ADMINISTRATOR failed: Node busy\n${noSession}`,
    ...busy,
  },
  'lost the half-open session': { stderr: rakp2Error('inactive session ID'), ...busy, retry: 'once' },
  'has no session left': { stderr: openError('insufficient resources for session'), ...busy },
  'has a BMC key': {
    stderr: `> RAKP 4 message has invalid integrity check value\n${noSession}`,
    fault: 'garbled',
    outcome: 'refused',
    retry: 'once',
  },
  'speaks IPMI 1.5 only': {
    stderr: `This BMC does not support IPMI v2 / RMCP+\n${noSession}`,
    fault: 'refused',
    outcome: 'refused',
    retry: 'once',
  },
  'damages its answers': {
    stderr: 'ERROR: Received message with invalid authcode!\nUnable to get Chassis Power Status\n',
    ...garbled,
  },
  'is busy': { stderr: powerStatus('Node busy'), ...busy },
  'took too long within': { stderr: powerStatus('Timeout'), ...busy, outcome: 'unknown' },
  'is out of space': { stderr: powerStatus('Out of space'), ...busy },
  'is starting': { stderr: powerStatus('BMC initialization in progress'), ...busy },
  'is being updated': { stderr: powerStatus('Device firmeware in update mode'), ...busy, retry: 'never' },
  'updates its records': { stderr: powerStatus('SDR Repository in update mode'), ...busy, retry: 'never' },
  'forbids it to the account': {
    stderr: powerStatus('Insufficient privilege level'),
    ...unsupported,
    retry: 'never',
  },
  'cannot in this state': {
    stderr: 'Set Chassis Power Control to Down/Off failed: Command not supported in present state\n',
    ...busy,
    retry: 'state',
  },
  'does not have the command': { stderr: powerStatus('Invalid command'), ...unsupported },
  'does not take the data': { stderr: raw('0xcc', 'Invalid data field in request'), ...unsupported },
  'does not take the parameter': { stderr: raw('0xc9', 'Parameter out of range'), ...unsupported },
  'has a code of its own for the command': {
    stderr: raw('0x80', 'Unknown (0x80)'),
    ...unsupported,
    outcome: 'unknown',
  },
  'does not show the boot flags': {
    stderr: 'Get Chassis Boot Parameter 5 failed: Unspecified error\n',
    ...unsupported,
    outcome: 'unknown',
  },
  'has given its console': {
    stderr: 'Info: SOL payload already active on another session\n',
    ...inUse,
  },
  'has given all its consoles': { stderr: 'Info: SOL payload activation limit reached\n', ...inUse },
  'has its console off': { stderr: 'Info: SOL payload disabled\n', ...unsupported, retry: 'never' },
  'has its console off, at the end of one': {
    stderr: 'Info: SOL payload type disabled\n',
    ...unsupported,
    retry: 'never',
  },
  'wants its console encrypted': {
    stderr: 'Info: cannot activate SOL payload without encryption\n',
    ...unsupported,
    retry: 'never',
  },
  'wants its console unencrypted': {
    stderr: 'Info: cannot activate SOL payload with encryption\n',
    ...unsupported,
    retry: 'never',
  },
  'has no console to end': { stderr: 'Info: SOL payload already de-activated\n', ...unsupported },
  'has no serial over LAN': { stderr: 'Error activating SOL payload: Invalid command\n', ...unsupported },
  'does not answer about its console': {
    stderr: 'Error: No response activating SOL payload\n',
    ...lost,
  },
} as const satisfies Record<string, IpmitoolText>

export type IpmitoolTextName = keyof typeof ipmitoolTexts
