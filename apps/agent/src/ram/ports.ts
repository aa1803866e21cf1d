import { readdir, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { NicFacts } from '@byoi/contract'
import { readBytes, readNumber, readText } from '../sysfs.ts'

/** What the protocol takes. */
const mostPorts = 64

/** ARPHRD_ETHER of linux/if_arp.h. */
const ethernet = 1

/**
 * The server's Ethernet ports, by sysfs (Documentation/ABI/testing/sysfs-class-net), sorted by name: those that the hardware has, not
 * the bonds, bridges and VLANs made of them.
 */
export async function findPorts(sysfs = '/sys'): Promise<NicFacts[]> {
  const names = (await readdir(join(sysfs, 'class/net'))).sort()
  const found = await Promise.all(names.map((name) => readPort(join(sysfs, 'class/net', name), name)))
  return found.filter((port) => port !== null).slice(0, mostPorts)
}

async function readPort(folder: string, name: string): Promise<NicFacts | null> {
  const mac = await readText(join(folder, 'address'))
  const isEthernet = (await readNumber(join(folder, 'type'))) === ethernet
  // Devices made of others have a type of their own: bond, bridge, vlan, wlan ...
  const uevent = (await readBytes(join(folder, 'uevent')))?.toString('latin1') ?? ''
  if (name === 'lo' || mac === null || !isEthernet || /^DEVTYPE=/m.test(uevent)) return null
  const speed = await readNumber(join(folder, 'speed'))
  return {
    name: name.slice(0, 32),
    mac: mac.toLowerCase().slice(0, 32),
    driver: basename(await readlink(join(folder, 'device/driver')).catch(() => '')).slice(0, 64),
    carrier: (await readNumber(join(folder, 'carrier'))) === 1,
    speed: speed === null || speed < 0 ? null : speed,
  }
}
