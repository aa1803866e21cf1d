import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { closure, isChosen, parseDependencies } from './kernel-modules.ts'

const shown = `kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/net/core/failover.ko:
kernel/fs/loop-a.ko: kernel/fs/loop-b.ko
kernel/fs/loop-b.ko: kernel/fs/loop-a.ko
# Aliases extracted from modules themselves.
alias virtio:d00000001v* virtio_net
`

describe('Kernel modules', () => {
  const dependencies = parseDependencies(shown)

  test('are read from what depmod shows, without aliases', () => assert.equal(dependencies.size, 5))

  const cases = [
    { wanted: ['kernel/net/core/failover.ko'], all: ['kernel/net/core/failover.ko'] },
    {
      wanted: ['kernel/drivers/net/virtio_net.ko'],
      all: [
        'kernel/drivers/net/net_failover.ko',
        'kernel/drivers/net/virtio_net.ko',
        'kernel/net/core/failover.ko',
      ],
    },
    { wanted: ['kernel/fs/loop-a.ko'], all: ['kernel/fs/loop-a.ko', 'kernel/fs/loop-b.ko'] },
    { wanted: [], all: [] },
  ]
  for (const { wanted, all } of cases)
    test(`[${wanted.join(', ')}] come with all that they need`, () => {
      assert.deepEqual(closure(dependencies, wanted), all)
    })

  const chosen = [
    { path: 'kernel/drivers/nvme/host/nvme.ko', is: true },
    { path: 'kernel/drivers/nvme/host/nvme-fc.ko', is: false },
    { path: 'kernel/drivers/scsi/megaraid/megaraid_sas.ko', is: true },
    { path: 'kernel/drivers/net/ethernet/intel/i40e/i40e.ko', is: true },
    { path: 'kernel/drivers/net/wireless/intel/iwlwifi/iwlwifi.ko', is: false },
    { path: 'kernel/sound/soundcore.ko', is: false },
  ]
  for (const { path, is } of chosen)
    test(`${path} is ${is ? 'chosen' : 'left out'}`, () => assert.equal(isChosen(path), is))
})
