import { BmcError, type BmcFault } from '../bmc.ts'
import { type Answer } from './answer.ts'
import { type Message } from './messages.ts'

interface Known {
  id?: RegExp
  text?: RegExp
  /** `sessions-full`, `fetch` and `licence` are refusals with a story of their own. */
  kind: 'busy' | 'sessions-full' | 'licence' | 'fetch' | 'lockdown'
  /** Where it was seen. */
  source: string
}

/** Messages whose meaning their HTTP status does not tell. */
export const knownMessages: readonly Known[] = [
  {
    id: /^(?:SessionLimitExceeded|CreateLimitReachedForResource)$/,
    kind: 'sessions-full',
    source: 'DSP8011 Base; bb-Ricardo/check_redfish #198',
  },
  {
    id: /^RAC0218$/,
    kind: 'sessions-full',
    source: 'Dell iDRAC: stmcginnis/gofish #75, quadsproject/badfish #447',
  },
  {
    id: /^(?:ResourceNotReadyRetry|InvalidOperationForSystemState)$/,
    kind: 'busy',
    source: 'HPE iLO: sushy RN:retry-ilo-not-ready-error',
  },
  {
    id: /^UnableToModifyDuringSystemPOST$/,
    kind: 'busy',
    source: 'HPE iLO 5/6: ironic RN:redfish-post-boot-retry',
  },
  {
    id: /^ActionParameterValueConflict$/,
    kind: 'busy',
    source: 'Dell iDRAC 10: ironic RN:redfish-power-on-conflict-retry',
  },
  { id: /^SYS518$/, kind: 'busy', source: 'Dell iDRAC 9: sushy RN:increase-server-retries' },
  { id: /^(?:LC068|RAC0679)$/, kind: 'busy', source: 'Dell: sushy oem/dell/constants.py' },
  {
    id: /^(?:ServiceTemporarilyUnavailable|ServiceShuttingDown|ServiceInUnknownState|ResourceInUse|ResourceInStandby)$/,
    kind: 'busy',
    source: 'DSP8011 Base',
  },
  { id: /^LicenseKeyRequired$/, kind: 'licence', source: 'HPE iLO: redfishdocs ilo6_msgregs170' },
  { text: /\blicen[cs]e/i, kind: 'licence', source: 'metal3-docs supported_hardware.md' },
  { id: /^RAC0(?:904|720)$/, kind: 'fetch', source: 'Dell iDRAC 9: DS #265, microsoft/lisa #4030' },
  { text: /^Failed fetching image/, kind: 'fetch', source: 'sushy-tools resources/vmedia.py' },
  { text: /lock\s?down/i, kind: 'lockdown', source: 'Supermicro: infra-controller handler.rs' },
]

export type Kind = Known['kind'] | 'refused' | 'authentication' | 'broken'

/** What an answer that is not 2xx amounts to. `broken`: the BMC failed, and may have done some of it. */
export function kindOf({ status, messages }: Pick<Answer, 'status' | 'messages'>): Kind {
  if (status === 401) return 'authentication'
  const known = kindOfMessages(messages)
  if (known !== null) return known
  // 409: in conflict with a state that passes; 412: its ETag changed between, again and again.
  if ([408, 409, 412, 423, 425, 428, 429, 503].includes(status)) return 'busy'
  return status >= 500 ? 'broken' : 'refused'
}

export function kindOfMessages(messages: readonly Message[]): Known['kind'] | null {
  for (const { id, text, kind } of knownMessages) {
    if (messages.some((message) => id?.test(message.id) ?? text?.test(message.text) ?? false)) return kind
  }
  return null
}

const faults: Record<Kind, { fault: BmcFault; outcome: BmcError['outcome']; remedy: string }> = {
  authentication: {
    fault: 'authentication',
    outcome: 'refused',
    remedy:
      "Check the user and the password in the server's record; after two refusals nothing more is tried.",
  },
  'sessions-full': {
    fault: 'busy',
    outcome: 'refused',
    remedy: 'End sessions that others left open on the BMC, or wait until they time out, about 30 minutes.',
  },
  busy: { fault: 'busy', outcome: 'refused', remedy: 'If it goes on, restart the BMC.' },
  broken: {
    fault: 'busy',
    outcome: 'unknown',
    remedy: 'If it goes on, restart the BMC or update its firmware.',
  },
  licence: {
    fault: 'refused',
    outcome: 'refused',
    remedy: 'Add the licence that the BMC needs for this, or let the server boot from the network instead.',
  },
  fetch: {
    fault: 'refused',
    outcome: 'refused',
    remedy:
      'Check that the BMC reaches the address of the image: route, firewall, and certificate where it is https.',
  },
  lockdown: { fault: 'refused', outcome: 'refused', remedy: "End the lockdown mode in the BMC's settings." },
  refused: {
    fault: 'refused',
    outcome: 'refused',
    remedy: 'Check the privileges of the account and the release of the BMC firmware.',
  },
}

/** What of a BMC may be shown: no control characters, not long, and no address but its own: those of images are secrets. */
export type Clean = (text: string) => string

export function cleaner(secrets: readonly string[]): Clean {
  return (text) => {
    let shown = text.replace(/[\p{C}\s]+/gu, ' ').replace(/\S*\/\S*|\S+\.(?:iso|img|efi)\b\S*/gi, hideAddress)
    for (const secret of secrets) if (secret !== '') shown = shown.replaceAll(secret, '(secret)')
    return shown.trim().slice(0, 200)
  }
}

const hideAddress = (word: string): string => (/^[("']*\/redfish\/v1\b/.test(word) ? word : '(address)')

/** An answer that is not 2xx as an error. `what` goes on from "The BMC". */
export function refusal(what: string, answer: Answer, clean: Clean): BmcError {
  return failure(what, kindOf(answer), `HTTP ${answer.status}`, answer.messages, clean)
}

export function failure(
  what: string,
  kind: Kind,
  status: string,
  messages: readonly Message[],
  clean: Clean,
): BmcError {
  const worded = messages.filter(({ text }) => text !== '')
  const told = worded.find(({ id }) => id !== 'GeneralError') ?? worded[0] ?? messages[0]
  // A login is refused with nothing of what was said: it may repeat what it was sent.
  const said = told === undefined || kind === 'authentication' ? '' : `, ${clean(`${told.id} ${told.text}`)}`
  return new BmcError(`The BMC ${what} (${status}${said}).`, faults[kind])
}

/** The answer never came: it may have been done. */
export const isLost = (error: unknown): error is BmcError =>
  error instanceof BmcError && error.outcome === 'unknown'
