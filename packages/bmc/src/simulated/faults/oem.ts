import { errorAnswer, type Json, noContent } from '../exchange.ts'
import { type Fault } from '../fault.ts'
import { isPatchOf, onGet } from './change.ts'

const attribute = (buffer: unknown, name: string): string | undefined =>
  new RegExp(`<Attribute Name="ServerBoot\\.1#${name}">([^<]*)<`).exec(String(buffer))?.[1]

/** Boot overrides by ways of a vendor's own. */
export const oemFaults = {
  /** iDRAC 9 before release 6: `Cd` is a physical drive; the virtual one is booted by an import, which is refused once. */
  'cd-by-dell-import': ({ paths, machine }) => {
    const target = `${paths.manager}/Actions/Oem/EID_674_Manager.ImportSystemConfiguration`
    let asked = 0
    const show = onGet(
      (path) => path === paths.manager,
      (manager) => {
        Object.assign(manager, { Model: '14G Monolithic', FirmwareVersion: '5.10.30.00' })
        manager['Actions'] = {
          Oem: { '#OemManager.v1_0_0#OemManager.ImportSystemConfiguration': { target } },
        }
      },
    )
    return async (exchange, next) => {
      if (isPatchOf(exchange, paths.system) && JSON.stringify(exchange.body).includes('"Cd"')) {
        return errorAnswer(400, 'IDRAC.2.5.SYS426', 'The physical drive is not there.')
      }
      if (exchange.path !== target) return await show(exchange, next)
      if (++asked === 1) return errorAnswer(400, 'IDRAC.2.5.RAC0679', 'A job is running.')
      const { ImportBuffer: buffer } = exchange.body as Json
      const isCd = attribute(buffer, 'FirstBootDevice') === 'VCD-DVD'
      if (!isCd || attribute(buffer, 'BootOnce') !== 'Enabled') {
        return errorAnswer(400, 'IDRAC.2.5.LC001', 'The configuration cannot be read.')
      }
      await machine.setBoot({ device: 'cd', once: true, firmware: machine.boot().firmware, httpUri: null })
      return noContent()
    }
  },
  /** iRMC: the standard override is refused, its own resource works, and wants an ETag. */
  'boot-by-fujitsu-config': ({ paths, machine }) => {
    const path = `${paths.system}/Oem/ts_fujitsu/BootConfig`
    const etag = '"1"'
    let shown: Json = { BootDevice: 'Hdd', NextBootOnlyEnabled: false }
    return async (exchange, next) => {
      if (isPatchOf(exchange, paths.system)) {
        return errorAnswer(400, 'Base.1.18.PropertyNotWritable', 'The property Boot is read only.')
      }
      if (exchange.path !== path) return await next(exchange)
      if (exchange.method === 'GET') return { status: 200, headers: { ETag: etag }, body: shown }
      if (exchange.headers['if-match'] !== etag) {
        return errorAnswer(412, 'Base.1.18.PreconditionFailed', 'The ETag does not match.')
      }
      shown = { ...shown, ...(exchange.body as Json) }
      const device = ({ Cd: 'cd', Pxe: 'network', Hdd: 'disk' } as const)[String(shown['BootDevice'])] ?? null
      const once = shown['NextBootOnlyEnabled'] === true
      await machine.setBoot({ device, once, firmware: machine.boot().firmware, httpUri: null })
      return noContent()
    }
  },
} satisfies Record<string, Fault>
