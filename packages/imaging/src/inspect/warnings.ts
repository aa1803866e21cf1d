import type { BootFacts } from '../boot/look-at-boot.ts'
import type { Inspection } from './inspection.types.ts'

type Found = Omit<Inspection, 'warnings' | 'verdicts' | 'notes'>

/** What may not do what is wanted, one sentence each. */
export function warningsFor(found: Found, facts: BootFacts): string[] {
  return [...onTheSource(found), ...onBooting(found, facts), ...onTheFirstBoot(found)]
}

function onTheSource({ packing, ranged, table }: Found): string[] {
  const warnings: string[] = []
  if (packing !== null) {
    warnings.push(`The image is packed by ${packing}, so only its head was looked at.`)
  } else if (!ranged) {
    warnings.push('The server does not support Range requests, so only the head of the image was looked at.')
  }
  if (table?.kind === 'none') warnings.push('The image has no partition table.')
  return warnings
}

function onBooting({ efi, consoles }: Found, { esps }: BootFacts): string[] {
  const warnings: string[] = []
  for (const { partition, content } of esps ?? []) {
    if (content?.fault)
      warnings.push(
        `The file system of the EFI system partition (number ${partition.number}) ${content.fault}.`,
      )
  }
  const cpus = new Set(efi?.flatMap(({ loaders }) => loaders.map(({ cpu }) => cpu)))
  if (cpus.size > 0 && !cpus.has('x64')) {
    warnings.push(
      `The boot loaders of the image are for ${[...cpus].join(', ')}; a server with another CPU does not start them.`,
    )
  }
  const names = consoles.flatMap((each) => each.consoles)
  if (consoles.length > 0 && !names.some((name) => serial.test(name))) {
    warnings.push(
      'The command line of the kernel names no serial console, so byoi console shows nothing of the system; add console=ttyS0 to it.',
    )
  }
  return warnings
}

/** Names of serial consoles as Linux has them: 8250 and others, PL011, and virtio's. */
const serial = /^(tty(S|AMA|USB)\d|hvc\d|uart)/

function onTheFirstBoot({ cloudInit }: Found): string[] {
  if (cloudInit === null) return []
  const { isInstalled, isDisabled, dataSources } = cloudInit
  if (!isInstalled)
    return [
      'The image has no cloud-init, so nothing in it reads the config drive; install cloud-init, or something like it.',
    ]
  if (isDisabled)
    return [
      'The file /etc/cloud/cloud-init.disabled keeps cloud-init from starting; remove it from the image.',
    ]
  if (dataSources && !dataSources.some((name) => name.toLowerCase() === 'configdrive'))
    return [
      `cloud-init is told to ask only ${dataSources.join(', ') || 'nothing'} (datasource_list), so it does not read the config drive; add ConfigDrive to the list.`,
    ]
  return []
}
