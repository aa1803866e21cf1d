import { type BmcFault } from '../bmc.ts'
import { type FaultName } from '../simulated/fault-switches.ts'

export interface Ended {
  fault: FaultName
  at: string
  ends: 'fail' | 'hold'
  error: BmcFault
  says: RegExp
}

/** Misbehaviours that end a deployment, with the step and its error. */
export const endings: readonly Ended[] = [
  { fault: 'silent', at: 'off', ends: 'hold', error: 'unreachable', says: /did not answer in time/ },
  { fault: 'busy-always', at: 'off', ends: 'hold', error: 'busy', says: /HTTP 503.*Retry in 5 seconds/ },
  { fault: 'invalid-json', at: 'off', ends: 'hold', error: 'garbled', says: /not valid JSON/ },
  { fault: 'no-json-at-all', at: 'off', ends: 'hold', error: 'garbled', says: /not valid JSON/ },
  { fault: '10-mib', at: 'off', ends: 'hold', error: 'garbled', says: /longer than 4 MiB/ },
  { fault: 'nested-deep', at: 'off', ends: 'hold', error: 'garbled', says: /deeper than 32 levels/ },
  { fault: 'hostile-names', at: 'off', ends: 'hold', error: 'garbled', says: /lists no system/ },
  { fault: 'redirects-elsewhere', at: 'off', ends: 'hold', error: 'identity', says: /another host/ },
  { fault: 'refers-elsewhere', at: 'off', ends: 'hold', error: 'identity', says: /another host/ },
  { fault: 'login-without-token', at: 'off', ends: 'hold', error: 'garbled', says: /no token/ },
  { fault: 'sessions-full', at: 'off', ends: 'hold', error: 'busy', says: /no room for another session/ },
  { fault: 'password-changed', at: 'off', ends: 'hold', error: 'authentication', says: /refused the login/ },
  { fault: 'read-only-account', at: 'off', ends: 'fail', error: 'refused', says: /InsufficientPrivilege/ },
  { fault: 'etag-412-always', at: 'boot-cd', ends: 'fail', error: 'busy', says: /HTTP 412/ },
  {
    fault: 'mode-always-legacy',
    at: 'boot-cd',
    ends: 'fail',
    error: 'refused',
    says: /shows Cd, Once, Legacy/,
  },
  { fault: 'once-dropped', at: 'boot-cd', ends: 'fail', error: 'refused', says: /shows Cd, Disabled, UEFI/ },
  { fault: 'no-cd-target', at: 'boot-cd', ends: 'fail', error: 'refused', says: /offers None, Pxe, Hdd/ },
  { fault: 'no-override', at: 'boot-cd', ends: 'fail', error: 'refused', says: /no boot override/ },
  { fault: 'boot-ignored', at: 'boot-cd', ends: 'fail', error: 'not-done', says: /shows None, Disabled/ },
  { fault: 'power-null', at: 'off', ends: 'hold', error: 'not-done', says: /power as unknown/ },
  { fault: 'always-powering-on', at: 'off', ends: 'hold', error: 'not-done', says: /power as PoweringOn/ },
  { fault: 'says-on', at: 'off', ends: 'hold', error: 'not-done', says: /shows it as On/ },
  { fault: 'says-off', at: 'on', ends: 'hold', error: 'not-done', says: /shows it as Off/ },
  { fault: 'power-ignored', at: 'off', ends: 'hold', error: 'not-done', says: /shows it as On/ },
  { fault: 'task-fails', at: 'off', ends: 'hold', error: 'busy', says: /task Exception, SYS446/ },
  { fault: 'task-endless', at: 'off', ends: 'hold', error: 'not-done', says: /shows it as On/ },
  { fault: 'no-media', at: 'insert', ends: 'fail', error: 'refused', says: /no virtual CD/ },
  { fault: 'insert-ignored', at: 'insert', ends: 'fail', error: 'not-done', says: /does not show it/ },
  { fault: 'insert-needs-licence', at: 'insert', ends: 'fail', error: 'refused', says: /LicenseKeyRequired/ },
  {
    fault: 'image-not-reachable',
    at: 'insert',
    ends: 'fail',
    error: 'refused',
    says: /RAC0904.*\(address\)/,
  },
  { fault: 'eject-ignored', at: 'insert', ends: 'fail', error: 'busy', says: /HTTP 409/ },
]
