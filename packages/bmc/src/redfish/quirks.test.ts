import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Json } from '../simulated/exchange.ts'
import { type Fault } from '../simulated/fault.ts'
import { type FaultName } from '../simulated/fault-switches.ts'
import { onGet } from '../simulated/faults/change.ts'
import { redfishRig, type Rig } from '../testing/redfish-rig.ts'
import { assertDeployed, deploy, runningMachine } from './deployment.fixture.ts'

const { signal } = new AbortController()

/** What a vendor's BMC shows of itself. */
interface Face {
  manufacturer?: string
  model?: string
  root?: Json
  system?: Json
  manager?: Json
}

const shows =
  ({ root = {}, system = {}, manager = {} }: Face): Fault =>
  ({ paths }) => {
    const parts: Record<string, Json> = {
      [paths.root]: root,
      [paths.system]: system,
      [paths.manager]: manager,
    }
    return onGet(
      (path) => path in parts,
      (resource) => Object.assign(resource, parts[String(resource['@odata.id']).replace(/\/$/, '')]),
    )
  }

const dell = (model: string, firmware: string): Face => ({
  manufacturer: 'Dell Inc.',
  root: { Vendor: 'Dell', Oem: { Dell: {} } },
  manager: { Model: model, FirmwareVersion: firmware },
})
const hpe: Face = { manufacturer: 'HPE', root: { Vendor: 'HPE', Oem: { Hpe: {} } } }
const supermicro: Face = { manufacturer: 'Supermicro', root: { Vendor: 'Supermicro' } }
const lenovo: Face = { manufacturer: 'Lenovo', root: { Vendor: 'Lenovo' } }
const ami: Face = { manufacturer: 'GIGABYTE', root: { Vendor: 'AMI', Oem: { Ami: {} } } }
const fujitsu: Face = { manufacturer: 'FUJITSU', root: { Vendor: 'Fujitsu', Oem: { ts_fujitsu: {} } } }

interface Quirk {
  bmc: string
  face: Face
  faults: readonly FaultName[]
  source: string
  /** What must have been sent: a part of the body of some request to a path that ends so. */
  sent?: { path: string; body: Json }
}

/** What vendors' BMCs do their own way, each got over by a whole deployment. */
const quirks: readonly Quirk[] = [
  {
    bmc: 'Dell iDRAC 9 3.30 to 5, media in the manager',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['media-in-manager-only'],
    source: 'DS #24, #58',
  },
  {
    bmc: 'Dell iDRAC 9 from 6.00.02, media in the system',
    face: dell('15G Monolithic', '7.00.00.00'),
    faults: ['media-in-system-only'],
    source: 'DS #265',
  },
  {
    bmc: 'Dell iDRAC 9 before 6.00, CD by import',
    face: { manufacturer: 'Dell Inc.', root: { Vendor: 'Dell' } },
    faults: ['cd-by-dell-import'],
    source: 'sushy oem/dell manager.py; DS #90',
  },
  {
    bmc: 'Dell iDRAC 9, a mode queues a BIOS job',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['mode-queues-a-job'],
    source: 'ironcore-dev/metal-operator #80, #81, #107',
  },
  {
    bmc: 'Dell iDRAC 9, data sources unavailable',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['busy-20s'],
    source: 'sushy RN:increase-server-retries; DS #60',
  },
  {
    bmc: 'Dell iDRAC, sessions full',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['sessions-full-60s'],
    source: 'stmcginnis/gofish #75; quadsproject/badfish #447',
  },
  {
    bmc: 'Dell iDRAC, jobs that are not there yet',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['task-missing-at-first'],
    source: 'sushy RN:fix-dell-bmc-404-race-condition',
  },
  {
    bmc: 'Dell iDRAC, a medium that shows after its eject',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['eject-shows-after-10s'],
    source: 'ironic RN:fix-redfish-vmedia-stale-insert-skip',
  },
  {
    bmc: 'Dell iDRAC 10, override in the settings object',
    face: dell('17G Monolithic', '1.20.50.52'),
    faults: ['boot-in-settings', 'etag-double-quoted', 'action-refuses-etag', 'insert-hides-image'],
    source: 'sushy RN:idrac10-settings-resource; DS #324; gofish #510, #511',
    sent: { path: '/Settings', body: { BootSourceOverrideTarget: 'Cd', BootSourceOverrideEnabled: 'Once' } },
  },
  {
    bmc: 'Dell iDRAC 10, On refused after off',
    face: dell('17G Monolithic', '2.10.00.00'),
    faults: ['on-refused-60s'],
    source: 'ironic RN:redfish-power-on-conflict-retry',
  },
  {
    bmc: 'HPE iLO 4, only Image',
    face: hpe,
    faults: ['insert-takes-only-image'],
    source: 'community.general #4596',
  },
  {
    bmc: 'HPE iLO 5, mode read-only',
    face: hpe,
    faults: ['mode-read-only', 'error-with-200'],
    source: 'redfishdocs ilo5_adaptation.md; community.general #3509',
  },
  {
    bmc: 'HPE iLO 5 and 6, in POST',
    face: hpe,
    faults: ['in-post-30s'],
    source: 'ironic RN:redfish-post-boot-retry',
  },
  {
    bmc: 'HPE iLO 5 to 7, floppy first, eject wants a body',
    face: hpe,
    faults: ['first-slot-is-a-floppy', 'eject-needs-body', 'already-there'],
    source: 'metal-operator #690; sushy RN:fix-eject-media-empty-dict',
  },
  {
    bmc: 'HPE Gen10 Plus, 406 to identity',
    face: hpe,
    faults: ['406-identity'],
    source: 'stmcginnis/gofish #511',
  },
  {
    bmc: 'Supermicro X10, no mode',
    face: supermicro,
    faults: ['mode-not-shown'],
    source: 'metal-operator #982',
  },
  {
    bmc: 'Supermicro X11 to X13, UsbCd, only Image, name kept',
    face: supermicro,
    faults: ['only-usbcd-boots', 'insert-takes-only-image', 'image-kept', 'reset-types-glued'],
    source: 'sushy set_system_boot_options, RN:fix-insert-media-payload; community.general #12537',
    sent: { path: '', body: { BootSourceOverrideTarget: 'UsbCd' } },
  },
  {
    bmc: 'Supermicro, what is not named falls back',
    face: supermicro,
    faults: ['mode-falls-back', 'whole-boot-required'],
    source: 'DMTF/Redfishtool #106; ironic RN:supermicro-redfish-override-enabled',
    sent: { path: '', body: { BootSourceOverrideMode: 'UEFI', BootSourceOverrideEnabled: 'Once' } },
  },
  {
    bmc: 'Lenovo XCC1, insert by PATCH',
    face: lenovo,
    faults: ['insert-by-patch', 'once-only'],
    source: 'L #21; sushy RN:fix-virtual-media-fallback',
    sent: { path: '/VirtualMedia/Cd', body: { Inserted: true, WriteProtected: true } },
  },
  {
    bmc: 'Lenovo XCC2, 412 to a fresh ETag',
    face: lenovo,
    faults: ['etag-412-once'],
    source: 'FuturFusion/operations-center #1040',
  },
  {
    bmc: 'Lenovo SE450, settings object without an override',
    face: lenovo,
    faults: ['boot-order-in-settings'],
    source: 'sushy settings-body-lenovo-se450.json',
  },
  {
    bmc: 'Lenovo SR635 and SR655, remote media off, protocol demanded',
    face: { ...ami, manufacturer: 'Lenovo' },
    faults: ['remote-media-disabled', 'insert-needs-protocol', 'insert-https-only'],
    source: 'L examples/lenovo_mount_virtual_media.py',
    sent: { path: '.InsertMedia', body: { TransferProtocolType: 'HTTPS' } },
  },
  {
    bmc: 'OpenBMC, slots without an action, mounts writable unless told',
    face: { manager: { Model: 'OpenBmc' } },
    faults: ['first-slot-without-action'],
    source: 'bmcweb redfish-core/lib/virtual_media.hpp',
    sent: { path: '.InsertMedia', body: { WriteProtected: true } },
  },
  {
    bmc: 'OpenBMC, the monitor of a task',
    face: { manager: { Model: 'OpenBmc' } },
    faults: ['task-monitor'],
    source: 'bmclib internal/redfishwrapper/firmware.go',
  },
  {
    bmc: 'AMI MegaRAC, override in the future state',
    face: ami,
    faults: ['boot-in-future-state', 'whole-boot-required', 'action-requires-etag'],
    source: 'siderolabs/omni-infra-provider-bare-metal #68; gofish #171',
    sent: { path: '/SD', body: { BootSourceOverrideMode: 'UEFI', BootSourceOverrideTarget: 'Cd' } },
  },
  {
    bmc: 'Gigabyte and ASRockRack, all three properties at once',
    face: ami,
    faults: [],
    source: 'ironic VENDORS_REQUIRING_FULL_BOOT_REQUEST; community.general #11542',
    sent: { path: '', body: { BootSourceOverrideMode: 'UEFI', BootSourceOverrideTarget: 'Cd' } },
  },
  {
    bmc: 'AMI Viking, a root without links',
    face: { ...ami, manufacturer: 'NVIDIA' },
    faults: ['root-without-links'],
    source: 'nv-redfish bmc_quirks.rs',
  },
  {
    bmc: 'NVIDIA DGX, credentials for the image',
    face: { manufacturer: 'NVIDIA' },
    faults: ['insert-needs-credentials', 'media-members-null'],
    source: 'sushy bug 2071945',
    sent: { path: '.InsertMedia', body: { UserName: 'none', Password: 'none' } },
  },
  {
    bmc: 'Fujitsu iRMC, boots by its own resource, shows media late',
    face: fujitsu,
    faults: ['boot-by-fujitsu-config', 'insert-shows-after-20s', 'insert-needs-protocol'],
    source: 'fujitsu/terraform-provider-irmc-redfish@56ff915',
    sent: { path: '/Oem/ts_fujitsu/BootConfig', body: { BootDevice: 'Cd', NextBootOnlyEnabled: true } },
  },
  {
    bmc: 'Huawei iBMC, If-Match demanded, no ManagedBy',
    face: {
      manufacturer: 'Huawei',
      system: { Links: { Managers: [{ '@odata.id': '/redfish/v1/Managers/BMC' }] } },
    },
    faults: ['etag-required'],
    source: 'ansible/ansible #60031; sushy RN:retry-on-missing-managedby',
  },
  {
    bmc: 'a BMC whose system names no manager',
    face: { system: { Links: {} } },
    faults: ['media-in-manager-only'],
    source: 'sushy RN:retry-on-missing-managedby',
  },
  {
    bmc: 'Cisco UCS, DVD only, some slots refuse',
    face: { manufacturer: 'Cisco Systems Inc' },
    faults: ['media-dvd-only', 'first-slot-refuses'],
    source: 'ironic RN:handle-dvd-only-vmedia',
  },
  {
    bmc: 'Nokia AirFrame, settings object and protocol',
    face: { manufacturer: 'Nokia Solutions and Networks' },
    faults: ['boot-in-settings', 'insert-needs-protocol'],
    source: 'sushy RN:use-settingsobject, RN:retry-if-transferprototype-missing',
  },
  {
    bmc: 'sushy-tools with libvirt, every override continuous',
    face: {},
    faults: ['always-continuous', 'http-uri-is-a-word'],
    source: 'openstack/sushy-tools main.py',
  },
]

async function rigFor(
  t: Parameters<typeof redfishRig>[0],
  face: Face,
  faults: readonly FaultName[],
): Promise<Rig> {
  const { manufacturer = 'Contoso', model = 'M' } = face
  const machine = await runningMachine({ manufacturer, model })
  const rig = await redfishRig(t, { machine, faults })
  rig.service.faults.use(shows(face))
  return rig
}

for (const { bmc, face, faults, source, sent } of quirks) {
  test(`a deployment goes through on ${bmc} (${source})`, async (t) => {
    const rig = await rigFor(t, face, faults)
    assertDeployed(rig.machine, await deploy(rig))
    if (sent === undefined) return
    const bodies = rig.service.requests
      .filter(({ method, path }) => method !== 'GET' && path.endsWith(sent.path))
      .map(({ body }) => ({ ...(body as Json), ...((body as Json | undefined)?.['Boot'] as Json) }))
    const wanted = Object.entries(sent.body)
    assert.ok(
      bodies.some((body) => wanted.every(([name, value]) => body[name] === value)),
      JSON.stringify(bodies),
    )
  })
}

/** What ends a deployment, with the remedy for that vendor's operators. */
const remedies: readonly {
  bmc: string
  face: Face
  faults: readonly FaultName[]
  url: string
  says: RegExp
}[] = [
  {
    bmc: 'Dell iDRAC with its virtual media detached (DS #236)',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['insert-ignored'],
    url: 'http://10.0.0.1/a.iso',
    says: /VirtualMedia\.1\.Attached/,
  },
  {
    bmc: 'HPE iLO without a licence (redfishdocs ilo6_msgregs170)',
    face: hpe,
    faults: ['insert-needs-licence'],
    url: 'http://10.0.0.1/a.iso',
    says: /licence/,
  },
  {
    bmc: 'Lenovo SR635 with a plain http address (L lenovo_mount_virtual_media.py)',
    face: lenovo,
    faults: ['insert-https-only'],
    url: 'http://10.0.0.1/a.iso',
    says: /over https/,
  },
  {
    bmc: 'Dell iDRAC that cannot reach the image (DS #265)',
    face: dell('14G Monolithic', '6.10.80.00'),
    faults: ['image-not-reachable'],
    url: 'http://10.0.0.1/a.iso',
    says: /route, firewall/,
  },
]

for (const { bmc, face, faults, url, says } of remedies) {
  test(`the remedy fits ${bmc}`, async (t) => {
    const rig = await rigFor(t, face, faults)
    await assert.rejects(rig.bmc.insertMedia(url, signal), (error: Error & { remedy?: string }) =>
      says.test(error.remedy ?? ''),
    )
  })
}

test('a Lenovo is asked for its EXT and Remote slots first, and never for RDOC ones (L #21, bmclib)', async (t) => {
  const rig = await rigFor(t, lenovo, ['media-in-manager-only'])
  const names = ['RDOC1', 'Remote1', 'EXT1', 'Cd']
  rig.service.faults.use(({ paths }) => async (exchange, next) => {
    const [, media] = paths.media
    const id = exchange.path.slice(media.length + 1)
    const answer = await next(names.includes(id) ? { ...exchange, path: `${media}/Cd` } : exchange)
    if (exchange.method !== 'GET' || answer.status !== 200) return answer
    const resource = answer.body as Json
    if (exchange.path === media) {
      resource['Members'] = names.map((name) => ({ '@odata.id': `${media}/${name}` }))
    }
    if (names.includes(id)) Object.assign(resource, { Id: id, Actions: {}, '@odata.id': `${media}/${id}` })
    return answer
  })
  const written: string[] = []
  rig.service.faults.use(() => async (exchange, next) => {
    if (exchange.method !== 'PATCH') return await next(exchange)
    written.push(exchange.path.split('/').at(-1) ?? '')
    return { status: 405, headers: {} }
  })
  await rig.machine.eject()
  await assert.rejects(rig.bmc.insertMedia('http://10.0.0.1/a.iso', signal))
  assert.deepEqual([...new Set(written)], ['EXT1', 'Remote1', 'Cd'])
})

test('a Supermicro in lockdown, and IPMI that nobody uses, are weaknesses', async (t) => {
  const protocols = '/redfish/v1/Managers/BMC/NetworkProtocol'
  const rig = await rigFor(
    t,
    {
      ...supermicro,
      system: { Oem: { Supermicro: { SysLockdown: true } } },
      manager: { NetworkProtocol: { '@odata.id': protocols } },
    },
    [],
  )
  rig.service.faults.use(() => async (exchange, next) => {
    if (exchange.path !== protocols) return await next(exchange)
    return { status: 200, headers: {}, body: { IPMI: { ProtocolEnabled: true, Port: 623 } } }
  })
  const identity = await rig.bmc.identify(signal)
  assert.deepEqual([identity.vendor, identity.serial], ['Supermicro', 'S1'])
  assert.match(identity.weaknesses.join(' '), /lockdown.*CVE-2013-4786/)
})
