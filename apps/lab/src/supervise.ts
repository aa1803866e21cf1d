import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startRedfishService } from '@byoi/bmc'
import { selfSigned } from './bmc/certificate.ts'
import { IpmiSim } from './bmc/ipmi-sim.ts'
import { startControlSocket } from './control-socket.ts'
import { QemuMachine, socketsOf } from './qemu-machine.ts'
import { SerialLine } from './serial-line.ts'
import { type ServerPlan } from './server-plan.ts'

/** A server whose BMC can be called. */
export interface Supervised {
  machine: QemuMachine
  /** Turns the server off, whatever it does, and ends its BMC. */
  close(): Promise<void>
}

/**
 * Brings one virtual server to life: a machine that is off, its serial line, and the two faces of its BMC.
 * @throws {Error} when a port is taken or a program is missing.
 */
export async function supervise(plan: ServerPlan, log: (line: string) => void): Promise<Supervised> {
  await mkdir(plan.folder, { recursive: true, mode: 0o700 })
  const stops: (() => unknown)[] = []
  const close = async () => {
    for (const stop of stops.splice(0).reverse()) await stop()
  }
  try {
    const sockets = socketsOf(plan.folder)
    const serial = await SerialLine.open(plan.ports.serial, join(plan.folder, 'serial.log'))
    stops.push(async () => await serial.close())
    const machine = new QemuMachine(plan, serial.machinePort, log)
    stops.push(async () => await machine.act('off'))
    const control = await startControlSocket(sockets.control, machine, log)
    stops.push(() => control.close())
    const ipmi = await IpmiSim.start(plan, log)
    stops.push(async () => await ipmi.close())
    const redfish = await startRedfishService({
      machine,
      ...plan.bmc,
      tls: await selfSigned(`bmc.${plan.name}`),
      host: '127.0.0.1',
      port: plan.ports.redfish,
    })
    stops.push(async () => await redfish.close())
    return { machine, close }
  } catch (error) {
    await close()
    throw error
  }
}
