import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cleaner, type Kind, kindOf } from './errors.ts'

const said = (id: string, text = '') => [{ id, text, properties: [] }]

/** What an answer amounts to; the source is where a BMC was seen to say so. */
const answers: readonly { status: number; id?: string; text?: string; kind: Kind; source?: string }[] = [
  { status: 400, kind: 'refused' },
  { status: 401, kind: 'authentication' },
  { status: 403, kind: 'refused' },
  { status: 404, kind: 'refused' },
  { status: 405, kind: 'refused' },
  { status: 409, kind: 'busy' },
  { status: 412, kind: 'busy' },
  { status: 429, kind: 'busy' },
  { status: 500, kind: 'broken' },
  { status: 502, kind: 'broken' },
  { status: 503, kind: 'busy' },
  { status: 400, id: 'SessionLimitExceeded', kind: 'sessions-full', source: 'bb-Ricardo/check_redfish #198' },
  { status: 503, id: 'RAC0218', kind: 'sessions-full', source: 'Dell iDRAC, gofish #75' },
  {
    status: 400,
    id: 'InvalidOperationForSystemState',
    kind: 'busy',
    source: 'HPE iLO, sushy RN:retry-ilo-not-ready-error',
  },
  { status: 400, id: 'ResourceNotReadyRetry', kind: 'busy', source: 'HPE iLO, redfishdocs msgregs170' },
  {
    status: 400,
    id: 'UnableToModifyDuringSystemPOST',
    kind: 'busy',
    source: 'HPE iLO, ironic RN:redfish-post-boot-retry',
  },
  { status: 500, id: 'SYS518', kind: 'busy', source: 'Dell iDRAC 9, DS #60' },
  { status: 500, id: 'SYS446', kind: 'broken', source: 'Dell iDRAC 9, DS #60' },
  { status: 400, id: 'LC068', kind: 'busy', source: 'Dell, sushy oem/dell/constants.py' },
  { status: 400, id: 'RAC0679', kind: 'busy', source: 'Dell, sushy oem/dell/constants.py' },
  { status: 500, id: 'RAC0904', kind: 'fetch', source: 'Dell iDRAC 9, DS #265' },
  { status: 404, id: 'RAC0720', kind: 'fetch', source: 'Dell iDRAC 9, microsoft/lisa #4030' },
  { status: 400, id: 'LicenseKeyRequired', kind: 'licence', source: 'HPE iLO, redfishdocs ilo6_msgregs170' },
  {
    status: 403,
    id: 'GeneralError',
    text: 'Not licensed to perform this request',
    kind: 'licence',
    source: 'Supermicro, metal3-docs supported_hardware.md',
  },
  {
    status: 500,
    id: 'GeneralError',
    text: 'Failed fetching image from URL http://10.0.0.1/a.iso',
    kind: 'fetch',
    source: 'sushy-tools resources/vmedia.py',
  },
  {
    status: 400,
    id: 'GeneralError',
    text: 'The system is in Lockdown mode',
    kind: 'lockdown',
    source: 'Supermicro, infra-controller handler.rs',
  },
]

for (const { status, id = '', text = '', kind, source } of answers) {
  test(`HTTP ${status} ${id} ${text} is ${kind}${source === undefined ? '' : ` (${source})`}`, () => {
    assert.equal(kindOf({ status, messages: id === '' ? [] : said(id, text) }), kind)
  })
}

const texts = [
  { text: 'plain words', shown: 'plain words' },
  { text: 'two\r\nlines\u001b[2J and \u202e more', shown: 'two lines [2J and more' },
  { text: 'cannot read http://10.0.0.1/secret/a.iso now', shown: 'cannot read (address) now' },
  { text: "(url: /agent/7f3a/agent.iso) and '7f3a.iso'", shown: '(url: (address) and (address)' },
  { text: 'x=http://10.0.0.1/7f3a', shown: '(address)' },
  { text: 'no /redfish/v1/Systems/1 there', shown: 'no /redfish/v1/Systems/1 there' },
  { text: 'wrong: hunter2!', shown: 'wrong: (secret)!' },
  { text: 'x'.repeat(500), shown: 'x'.repeat(200) },
]

for (const { text, shown } of texts) {
  test(`of ${JSON.stringify(text.slice(0, 40))} this is shown: ${shown.slice(0, 40)}`, () => {
    assert.equal(cleaner(['hunter2'])(text), shown)
  })
}
