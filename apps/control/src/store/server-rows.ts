import { type BmcServer } from '../bmcs/bmc-kind.ts'
import { type ServerRow } from '../deployments/workflow-context.ts'
import { type Server, type ServerDetail } from '../http/ports.ts'
import { type SealingKey } from './secrets.ts'

const passwordPurpose = (serviceName: string): string => `server ${serviceName} bmc password`

/** A BMC's password as it is stored. */
export const sealPassword = (masterKey: SealingKey, { serviceName, password }: BmcServer): Buffer | null =>
  password === null ? null : masterKey.seal(password.reveal(), passwordPurpose(serviceName))

/** What the BMC drivers need of a stored server. */
export const bmcServerOf = (masterKey: SealingKey, row: ServerRow): BmcServer => ({
  serviceName: row.service_name,
  boot: row.boot,
  settings: row.bmc_settings,
  password:
    row.bmc_password === null
      ? null
      : masterKey.openText(row.bmc_password, passwordPurpose(row.service_name)),
  diskGroups: row.disk_groups,
  agentBoot: row.agent_boot,
})

export const serverOf = (row: ServerRow): Server => ({
  serverId: row.id,
  serviceName: row.service_name,
  account: row.account,
  boot: row.boot,
  powerState: row.power_state === null ? null : `power${row.power_state}`,
  diskGroups: row.disk_groups,
  ownImage: row.own_image,
  rescueSshKey: row.rescue_ssh_key,
  efiBootloaderPath: row.efi_bootloader_path,
  createdAt: row.created_at.toISOString(),
})

export const detailOf = (row: ServerRow): ServerDetail => ({
  ...serverOf(row),
  bmc: { kind: row.bmc_kind, settings: row.bmc_settings, identity: row.bmc_identity },
  agentBoot: row.agent_boot,
  found: row.found,
})
