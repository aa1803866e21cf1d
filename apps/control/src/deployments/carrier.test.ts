import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Bmc, BmcError } from '@byoi/bmc'
import { type BootMedium } from '@byoi/contract'
import { CannotWork } from '../bmcs/bmc-kind.ts'
import { bootWord } from './boot-word.ts'
import { carrierOf } from './carrier.ts'
import { type ServerRow, type WorkflowContext } from './workflow-context.ts'

const provisioning = { url: 'http://10.0.0.1:8081', mediaUrl: 'http://10.1.0.1:8081', ramdisk: '/none' }
const context = { provisioning } as WorkflowContext
const medium = { secret: 's'.repeat(43) } as BootMedium
const signal = new AbortController().signal
const word = bootWord(medium.secret)

/** What a BMC was told, in order. */
function bmcThat(change: object = {}) {
  const told: string[] = []
  const bmc = {
    localMedium: null,
    virtualMedia: {
      insertMedia: async (url: string) => void told.push(`insert ${url}`),
      ejectMedia: async () => void told.push('eject'),
    },
    setBootDevice: async (to: string) => void told.push(`boot ${to}`),
    setHttpBoot: async (url: string) => void told.push(`boot ${url}`),
    ...change,
  }
  return { told, bmc: bmc as unknown as Bmc }
}

const server = (way: string) => ({ agent_boot: { way } }) as ServerRow

/** All that a start tells the BMC. */
async function start(way: string, change: object = {}): Promise<string[]> {
  const { told, bmc } = bmcThat(change)
  const carrier = carrierOf(context, bmc, server(way))
  await carrier.offer(medium, signal)
  await carrier.setBoot(medium, signal)
  await carrier.withdraw(signal)
  return told
}

const refuses = (fault: 'refused' | 'unreachable') => async () => {
  throw new BmcError('No.', { fault, outcome: 'refused', remedy: 'None.' })
}

describe('the agent is brought', () => {
  const cases: [string, string, object, string[]][] = [
    ['by netboot: the BMC is told to boot from the network', 'netboot', {}, ['boot network']],
    [
      'by virtual media: where BMCs see it',
      'virtual-media',
      {},
      [`insert http://10.1.0.1:8081/media/${word}.iso`, 'boot cd', 'eject'],
    ],
    [
      'by UEFI HTTP boot: where servers see it',
      'uefi-http',
      {},
      [`boot http://10.0.0.1:8081/media/${word}.iso`],
    ],
    [
      'by DHCP where the BMC has no HTTP boot',
      'uefi-http',
      { setHttpBoot: refuses('refused') },
      ['boot network'],
    ],
  ]
  for (const [what, way, change, told] of cases) {
    test(what, async () => assert.deepEqual(await start(way, change), told))
  }

  test('not by DHCP only because the BMC did not answer', async () => {
    await assert.rejects(start('uefi-http', { setHttpBoot: refuses('unreachable') }), BmcError)
  })

  const never: [string, () => unknown][] = [
    [
      'to a server that has no way',
      () => carrierOf(context, bmcThat().bmc, { agent_boot: null } as ServerRow),
    ],
    [
      'by virtual media that the BMC does not have',
      () => carrierOf(context, bmcThat({ virtualMedia: null }).bmc, server('virtual-media')),
    ],
  ]
  for (const [what, bring] of never) test(`never ${what}`, () => assert.throws(bring, CannotWork))
})

test('the word in the URLs does not tell the boot secret, and is another for another secret', () => {
  assert.match(word, /^[0-9a-f]{40}$/)
  assert.notEqual(bootWord('t'.repeat(43)), word)
})
