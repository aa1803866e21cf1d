import { type BootSetting, type Machine, type MachineAction } from '@byoi/bmc'

/**
 * What ipmi_sim asks of its chassis program (OpenIPMI 2.0.33, `extcmd` of lanserv; the names of ipmi_lan(5)): `get NAME ...` is
 * answered with a line `NAME:VALUE` for each, `set NAME VALUE ...` is carried out, `check ...` says whether it could be.
 *
 * @throws {Error} for a question that is none of these.
 */
export async function answerChassis(machine: Machine, words: readonly string[]): Promise<string> {
  const [verb, ...rest] = words
  if (verb === 'get') return (await Promise.all(rest.map(async (name) => await read(machine, name)))).join('')
  if (verb === 'set') await change(machine, rest)
  else if (verb !== 'check') throw new Error(`ipmi_sim asked for ${words.join(' ')}`)
  return ''
}

/** ipmi_sim's words for boot devices; what it has no word for reads as `none`. */
const devices: Record<string, BootSetting['device']> = {
  none: null,
  pxe: 'network',
  default: 'disk',
  cdrom: 'cd',
}

async function read(machine: Machine, name: string): Promise<string> {
  if (name === 'power') return `power:${(await machine.power()) === 'on' ? 1 : 0}\n`
  if (name !== 'boot') return `${name}:0\n`
  const { device } = machine.boot()
  const word = Object.keys(devices).find((each) => devices[each] === device)
  return `boot:${word ?? 'none'}\n`
}

async function change(machine: Machine, pairs: readonly string[]): Promise<void> {
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const [name, value] = [pairs[at] ?? '', pairs[at + 1] ?? '']
    if (name === 'boot') await setBoot(machine, value)
    else if (actions[`${name} ${value}`] !== undefined) await machine.act(actions[`${name} ${value}`]!)
    else if (name !== 'identify') throw new Error(`ipmi_sim wants to set ${name} to ${value}`)
  }
}

const actions: Record<string, MachineAction | undefined> = {
  'power 0': 'off',
  'power 1': 'on',
  'reset 1': 'reset',
  'shutdown 1': 'soft-off',
}

/** Of the boot flags ipmi_sim passes the device on and nothing else: they hold for one start, with the firmware as it was. */
async function setBoot(machine: Machine, word: string): Promise<void> {
  const device = devices[word]
  if (device === undefined) throw new Error(`ipmi_sim wants to boot from ${word}`)
  await machine.setBoot({ ...machine.boot(), device, once: device !== null, httpUri: null })
}
