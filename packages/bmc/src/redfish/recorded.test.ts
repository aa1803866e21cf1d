import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BmcIdentity, type BootDevice, type Firmware, type PowerState } from '../bmc.ts'
import { type Json } from '../simulated/exchange.ts'
import { recorded, recordedBmc, type Written } from '../testing/recorded-bmc.ts'
import { listSystems, type RedfishBmc } from './redfish-bmc.ts'

const { signal } = new AbortController()
const iso = 'http://10.0.0.1/agent/7f3a/agent.iso'

const at = (path: string, resource: Json): Json => ({ ...resource, '@odata.id': path })
/** `files`: names without their ending, in one line. */
const from = (folder: string, files: string) =>
  files.split(' ').map((file) => recorded(`${folder}/${file}.json`))

/** Recorded resources of one BMC; what lacks its `@odata.id` gets it here. */
const bmcs = {
  'Dell PowerEdge R660, iDRAC 10': () => [
    ...from('bmclib-dell', 'serviceroot systems system.embedded.1.virtualmedia manager.idrac.embedded.1'),
    ...from('bmclib-dell', 'virtualmedia_collection virtualmedia_1 virtualmedia_2'),
  ],
  'Dell PowerEdge R6515': () =>
    from('bmclib-dell', 'serviceroot systems system.embedded.1 manager.idrac.embedded.1'),
  'Supermicro SYS-510T-MR': () => [
    ...from('bmclib-supermicro', 'smc_1.14.0_serviceroot smc_1.14.0_systems smc_1.14.0_systems_1'),
    ...from('bmclib-generic', 'managers managers_1'),
  ],
  'Supermicro ARS-111GL-NHR': () => [
    ...from('bmclib-supermicro', 'smc_1.14.0_serviceroot smc_1.14.0_systems'),
    { ...recorded('bmclib-supermicro/smc_1.14.0_systems_1.json'), Model: 'ARS-111GL-NHR' },
    ...from('bmclib-generic', 'managers managers_1'),
  ],
  'Lenovo ThinkSystem SR650, XCC': () => [
    ...from('bmclib-lenovo', 'serviceroot systems system.lenovo managers manager.1 networkprotocol'),
    ...from('bmclib-lenovo', 'managers.1.virtualmedia vm.cd vm.floppy'),
  ],
  'DMTF rackmount mockup': () => [
    ...from('dmtf-rackmount', 'index Systems/index Systems/437XR1138R2/index Managers/index'),
    ...from('dmtf-rackmount', 'Managers/BMC/index Managers/BMC/NetworkProtocol/index'),
    ...from('dmtf-rackmount/Systems/437XR1138R2/VirtualMedia', 'index CD1/index Floppy1/index'),
  ],
  'a root without links and a system without ManagedBy': () => [
    ...from('sushy', 'bare_minimum_root system_collection system_managedby_missing_manager_present'),
    at('/redfish/v1/Managers/BMC', recorded('sushy/manager.json')),
  ],
  'Nokia AirFrame': () => [
    ...from('sushy', 'root system_collection settings-body-nokia'),
    { ...recorded('sushy/system.json'), ...recorded('sushy/settings-nokia.json') },
  ],
  'Lenovo SE450': () => [
    ...from('sushy', 'root system_collection settings-body-lenovo-se450'),
    { ...recorded('sushy/system.json'), ...recorded('sushy/settings-lenovo-se450.json') },
  ],
} as const satisfies Record<string, () => Json[]>

type Recorded = keyof typeof bmcs

const reads: readonly {
  bmc: Recorded
  power: PowerState
  boot: BootDevice | null
  identity: Omit<BmcIdentity, 'weaknesses'>
}[] = [
  {
    bmc: 'Dell PowerEdge R660, iDRAC 10',
    power: 'off',
    boot: null,
    identity: { vendor: 'Dell', model: 'PowerEdge R660', firmware: '1.20.50.52', serial: null },
  },
  {
    bmc: 'Supermicro SYS-510T-MR',
    power: 'on',
    boot: 'disk',
    identity: {
      vendor: 'Supermicro',
      model: 'SYS-510T-MR-EI018',
      firmware: '01.13.04',
      serial: 'S482931X2814218',
    },
  },
  {
    bmc: 'Lenovo ThinkSystem SR650, XCC',
    power: 'on',
    boot: 'disk',
    identity: { vendor: 'Lenovo', model: 'ThinkSystem SR650', firmware: 'TEE142M-2.41', serial: 'J100ABCD' },
  },
  {
    bmc: 'DMTF rackmount mockup',
    power: 'on',
    boot: 'network',
    identity: { vendor: 'Contoso', model: '3500', firmware: '1.45.455b66-rev4', serial: '437XR1138R2' },
  },
  {
    bmc: 'a root without links and a system without ManagedBy',
    power: 'on',
    boot: 'network',
    identity: { vendor: 'Contoso', model: '3500', firmware: '1.00', serial: '437XR1138R2' },
  },
]

for (const { bmc: name, power, boot, identity } of reads) {
  test(`${name} is read as it is`, async (t) => {
    const { bmc } = await recordedBmc(t, bmcs[name]())
    assert.equal(await bmc.readPower(signal), power)
    assert.equal(await bmc.readBootDevice(signal), boot)
    const { weaknesses: _, ...read } = await bmc.identify(signal)
    assert.deepEqual(read, identity)
  })
}

test('systems are found by listing them, and a system that was named is used without', async (t) => {
  const { options } = await recordedBmc(t, bmcs['DMTF rackmount mockup']())
  assert.deepEqual(await listSystems(options, signal), [
    {
      path: '/redfish/v1/Systems/437XR1138R2',
      manufacturer: 'Contoso',
      model: '3500',
      serial: '437XR1138R2',
      uuid: '38947555-7742-3448-3784-823347823834',
    },
  ])
})

test('of several systems, none is guessed', async (t) => {
  const resources = bmcs['DMTF rackmount mockup']()
  const list = resources.find((each) => each['@odata.id'] === '/redfish/v1/Systems')
  const others = [{ '@odata.id': '/redfish/v1/Systems/HGX_Baseboard_0' }]
  assert.ok(list)
  list['Members'] = [...(list['Members'] as unknown[]), ...others]
  const { bmc } = await recordedBmc(t, resources)
  await assert.rejects(bmc.readPower(signal), /shows 2 systems: .*437XR1138R2.*HGX_Baseboard_0/)
  const named = await recordedBmc(t, resources, { system: '/redfish/v1/Systems/437XR1138R2' })
  assert.equal(await named.bmc.readPower(signal), 'on')
})

const boots = (path: string, target: string, mode?: string): Written => ({
  method: 'PATCH',
  path,
  body: {
    Boot: {
      BootSourceOverrideTarget: target,
      BootSourceOverrideEnabled: 'Once',
      ...(mode === undefined ? {} : { BootSourceOverrideMode: mode }),
    },
  },
})

const writes: readonly {
  bmc: Recorded
  firmware: Firmware
  does: string
  run: (bmc: RedfishBmc) => Promise<void>
  written: readonly Written[]
}[] = [
  {
    bmc: 'Dell PowerEdge R660, iDRAC 10',
    firmware: 'legacy',
    does: 'boots its CD, with no mode where it is the one shown',
    run: (bmc) => bmc.setBootDevice('cd', signal),
    written: [boots('/redfish/v1/Systems/System.Embedded.1', 'Cd')],
  },
  {
    bmc: 'Dell PowerEdge R6515',
    firmware: 'uefi',
    does: 'boots its network, with the mode where it is another one',
    run: (bmc) => bmc.setBootDevice('network', signal),
    written: [boots('/redfish/v1/Systems/System.Embedded.1', 'Pxe', 'UEFI')],
  },
  {
    bmc: 'Supermicro SYS-510T-MR',
    firmware: 'uefi',
    does: 'boots its CD as UsbCd, with all three properties',
    run: (bmc) => bmc.setBootDevice('cd', signal),
    written: [boots('/redfish/v1/Systems/1', 'UsbCd', 'UEFI')],
  },
  {
    bmc: 'Supermicro ARS-111GL-NHR',
    firmware: 'uefi',
    does: 'boots its CD as Cd, though it lists UsbCd too (sushy set_system_boot_options)',
    run: (bmc) => bmc.setBootDevice('cd', signal),
    written: [boots('/redfish/v1/Systems/1', 'Cd', 'UEFI')],
  },
  {
    bmc: 'Supermicro SYS-510T-MR',
    firmware: 'uefi',
    does: 'forgets its override as a whole',
    run: (bmc) => bmc.setBootDevice(null, signal),
    written: [
      {
        method: 'PATCH',
        path: '/redfish/v1/Systems/1',
        body: {
          Boot: {
            BootSourceOverrideTarget: 'None',
            BootSourceOverrideEnabled: 'Disabled',
            BootSourceOverrideMode: 'UEFI',
          },
        },
      },
    ],
  },
  {
    bmc: 'Supermicro SYS-510T-MR',
    firmware: 'uefi',
    does: 'is turned off, whatever its list of words says',
    run: (bmc) => bmc.setPower('off', signal),
    written: [
      {
        method: 'POST',
        path: '/redfish/v1/Systems/1/Actions/ComputerSystem.Reset',
        body: { ResetType: 'ForceOff' },
      },
    ],
  },
  {
    bmc: 'Nokia AirFrame',
    firmware: 'uefi',
    does: 'boots its disk by its settings object',
    run: (bmc) => bmc.setBootDevice('disk', signal),
    written: [
      {
        method: 'PATCH',
        path: '/redfish/v1/Systems/Self/SD',
        body: {
          Boot: {
            BootSourceOverrideTarget: 'Hdd',
            BootSourceOverrideEnabled: 'Once',
            HttpBootUri: null,
          },
        },
      },
    ],
  },
  {
    bmc: 'Lenovo SE450',
    firmware: 'uefi',
    does: 'fetches an address by the system, as its settings object has no override',
    run: (bmc) => bmc.setHttpBoot('http://10.0.0.1/agent.efi', signal),
    written: [
      {
        method: 'PATCH',
        path: '/redfish/v1/Systems/437XR1138R2',
        body: {
          Boot: {
            BootSourceOverrideTarget: 'UefiHttp',
            BootSourceOverrideEnabled: 'Once',
            HttpBootUri: 'http://10.0.0.1/agent.efi',
          },
        },
      },
    ],
  },
  {
    bmc: 'Dell PowerEdge R660, iDRAC 10',
    firmware: 'uefi',
    does: 'gets its medium into slot 1, which it lists last',
    run: (bmc) => bmc.insertMedia(iso, signal),
    written: [
      {
        method: 'POST',
        path: '/redfish/v1/Systems/System.Embedded.1/VirtualMedia/1/Actions/VirtualMedia.EjectMedia',
        body: {},
      },
      {
        method: 'POST',
        path: '/redfish/v1/Systems/System.Embedded.1/VirtualMedia/1/Actions/VirtualMedia.InsertMedia',
        body: { Image: iso },
      },
    ],
  },
  {
    bmc: 'Lenovo ThinkSystem SR650, XCC',
    firmware: 'uefi',
    does: 'gets its medium by PATCH, as its slots have no actions',
    run: (bmc) => bmc.insertMedia(iso, signal),
    written: [
      {
        method: 'PATCH',
        path: '/redfish/v1/Managers/1/VirtualMedia/CD',
        body: { Image: null, Inserted: false },
      },
      {
        method: 'PATCH',
        path: '/redfish/v1/Managers/1/VirtualMedia/CD',
        body: { Image: iso, Inserted: true, WriteProtected: true },
      },
    ],
  },
]

for (const { bmc: name, firmware, does, run, written } of writes) {
  test(`${name} ${does}`, async (t) => {
    const recording = await recordedBmc(t, bmcs[name](), { firmware })
    await run(recording.bmc)
    assert.deepEqual(recording.written, written)
  })
}

test('IPMI that is on and not used is told, on the Lenovo that shows it', async (t) => {
  const { bmc } = await recordedBmc(t, bmcs['Lenovo ThinkSystem SR650, XCC']())
  const { weaknesses } = await bmc.identify(signal)
  assert.match(weaknesses.join(), /IPMI over LAN is on/)
})
