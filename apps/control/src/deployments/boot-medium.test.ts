import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type NetworkConfig } from '@byoi/contract'
import { type BmcServer, CannotWork } from '../bmcs/bmc-kind.ts'
import { readCertificates } from '../tls/certificates.ts'
import { checkMediumFits } from './boot-medium.ts'

const address = 'fd00:1111:2222:3333:4444:5555:6666:7777'
/** As much as `NetworkConfig` has room for. */
const network: NetworkConfig = {
  ports: Array.from({ length: 8 }, (_, at) => `52:54:00:00:00:0${at}`),
  bond: 'active-backup',
  vlan: 4094,
  mtu: 9216,
  ipv4: { method: 'static', address: '255.255.255.255/32', gateway: '255.255.255.254' },
  ipv6: { method: 'static', address: `${address}/128`, gateway: address },
  nameservers: Array.from({ length: 4 }, () => address),
}
const server: BmcServer = {
  serviceName: `${'n'.repeat(60)}.example.test`,
  boot: 'uefi',
  settings: {},
  password: null,
  diskGroups: [],
  agentBoot: { way: 'netboot', macs: [], kernelWords: '', network },
}

describe('a boot medium with the largest network', () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'byoi-medium-'))
  })
  after(async () => await rm(directory, { recursive: true }))

  test('fits beside our certificate authority', async () => {
    const { caPem } = await readCertificates(directory, ['localhost'])
    assert.doesNotThrow(() => checkMediumFits(caPem, server))
  })

  test('is refused beside a larger one', () => {
    assert.throws(() => checkMediumFits('x'.repeat(3000), server), CannotWork)
  })
})
