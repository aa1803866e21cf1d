import { type Json, objectAt, textAt } from './json.ts'

/** What a vendor's BMCs do their own way. The driver's code asks for these and for no vendor. */
export interface Quirks {
  /** A boot override is only taken with Enabled, Target and Mode in it. */
  wholeBoot: boolean
  /** Targets that boot the virtual CD, best first. */
  cdTargets: readonly string[]
  /** Where the boot override is written when the system says that it takes it "in its future state", below the system. */
  futureState: string
  /** Ids of virtual media slots: earlier ones are tried first, others last. */
  preferredSlots: readonly RegExp[]
  /** Slots that cannot hold an image of our size. */
  uselessSlots: readonly RegExp[]
  /** Sent with each insert beside `Image`. */
  insertWith: Json
  /** A way of the vendor's own to boot once, instead of the standard one (for the CD), or after it was refused. */
  oemBoot: { way: 'dell-import' | 'fujitsu-boot-config'; when: 'cd' | 'refused' } | null
  /** What an operator looks at when a medium was taken and does not appear. */
  mediaRemedy: string
}

const standard: Quirks = {
  wholeBoot: false,
  cdTargets: ['Cd', 'UsbCd'],
  futureState: 'SD',
  preferredSlots: [],
  uselessSlots: [],
  insertWith: {},
  oemBoot: null,
  mediaRemedy: 'Check that virtual media is enabled on the BMC and that it reaches the address of the image.',
}

/** What is known of a BMC when its quirks are looked up; all in lower case. */
interface Seen {
  /** Vendor of the service root, names of OEM parts, manufacturer of the system. */
  names: string
  /** Of the system. */
  model: string
  /** Of its managers. */
  managerModel: string
  /** Major release of the first manager's firmware; NaN where it has no number. */
  firmwareMajor: number
}

export interface QuirkRow {
  bmc: string
  when: (seen: Seen) => boolean
  quirks: Partial<Quirks>
  source: string
}

/** Later rows overrule earlier ones. */
export const quirkRows: readonly QuirkRow[] = [
  {
    bmc: 'Dell iDRAC',
    when: ({ names }) => names.includes('dell'),
    quirks: {
      mediaRemedy:
        "Set the iDRAC's VirtualMedia.1.Attached to Attached or AutoAttach, and check that it reaches the address of the image.",
    },
    source: 'DS #236; openshift/openshift-docs #32022',
  },
  {
    bmc: 'Dell iDRAC 8 and 9 before release 6',
    // Release numbers begin again with iDRAC 10 (17th generation).
    when: ({ names, managerModel, firmwareMajor }) =>
      names.includes('dell') && /\b1[2-6]g\b/.test(managerModel) && firmwareMajor < 6,
    quirks: { oemBoot: { way: 'dell-import', when: 'cd' } },
    source: 'sushy oem/dell manager.py; ironic RN:fix-redfish-vm-boot-idrac; DS #90',
  },
  {
    bmc: 'Dell iDRAC 10',
    when: ({ names, managerModel }) => names.includes('dell') && /\b1[7-9]g\b/.test(managerModel),
    quirks: { preferredSlots: [/^1$/] },
    source: 'ironic RN:idrac10-vmedia-slot1',
  },
  {
    bmc: 'Supermicro',
    when: ({ names }) => /supermicro|super micro/.test(names),
    quirks: {
      wholeBoot: true,
      cdTargets: ['UsbCd', 'Cd'],
      mediaRemedy:
        'Check that the BMC has the licence SFT-OOB-LIC or SFT-DCMS-SINGLE, and that it reaches the address of the image.',
    },
    source:
      'DMTF/Redfishtool #106; ironic RN:supermicro-redfish-override-enabled; sushy RN:change-bootdev-smc',
  },
  {
    bmc: 'Supermicro ARS-111GL-NHR',
    when: ({ names, model }) => names.includes('supermicro') && model.includes('ars-111gl-nhr'),
    quirks: { cdTargets: ['Cd', 'UsbCd'] },
    source: 'sushy set_system_boot_options',
  },
  {
    bmc: 'Lenovo XCC',
    when: ({ names }) => names.includes('lenovo'),
    quirks: { preferredSlots: [/^EXT/i, /^Remote/i], uselessSlots: [/^RDOC/i] },
    source: 'L #21; bmclib providers/lenovo/virtual_media.go',
  },
  {
    bmc: 'AMI MegaRAC, Gigabyte, ASRockRack, Tyan, Inspur',
    when: ({ names }) =>
      /\bami\b|american megatrends|gigabyte|giga computing|asrock|\btyan\b|inspur/.test(names),
    quirks: {
      wholeBoot: true,
      mediaRemedy:
        'Enable remote media support on the BMC, and serve the image over https where it refuses http.',
    },
    source: 'ironic management.py VENDORS_REQUIRING_FULL_BOOT_REQUEST; community.general #11542',
  },
  {
    bmc: 'OpenBMC',
    when: ({ names, managerModel }) => /open\s?bmc/.test(`${names} ${managerModel}`),
    quirks: {
      insertWith: { WriteProtected: true },
      mediaRemedy:
        'OpenBMC reads images over https only: check that the URL is https and that the BMC reaches it.',
    },
    source: 'bmcweb redfish-core/lib/virtual_media.hpp',
  },
  {
    bmc: 'Fujitsu and Fsas iRMC',
    when: ({ names }) => /fujitsu|fsas/.test(names),
    quirks: {
      oemBoot: { way: 'fujitsu-boot-config', when: 'refused' },
      mediaRemedy:
        'The iRMC reads images over https only: check that the URL is https and that the iRMC reaches it.',
    },
    source: 'fujitsu/terraform-provider-irmc-redfish@56ff915',
  },
]

export function quirksOf(found: { root: Json; system: Json; managers: readonly Json[] }): Quirks {
  const seen = seenOf(found)
  const matching = quirkRows.filter(({ when }) => when(seen)).map(({ quirks }) => quirks)
  return Object.assign({}, standard, ...matching) as Quirks
}

function seenOf({ root, system, managers }: { root: Json; system: Json; managers: readonly Json[] }): Seen {
  const oemNames = [root, system, ...managers].flatMap((each) => Object.keys(objectAt(each, 'Oem') ?? {}))
  const names = [textAt(root, 'Vendor'), ...oemNames, textAt(system, 'Manufacturer')]
  const models = managers.map((manager) => textAt(manager, 'Model'))
  return {
    names: names.join(' ').toLowerCase(),
    model: (textAt(system, 'Model') ?? '').toLowerCase(),
    managerModel: models.join(' ').toLowerCase(),
    firmwareMajor: Number.parseInt(textAt(managers[0], 'FirmwareVersion') ?? '', 10),
  }
}
