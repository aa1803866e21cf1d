import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, test } from 'node:test'
import { type IpmitoolTextName, ipmitoolTexts } from './ipmitool-texts.ts'
import { type IpmiAnswer, type IpmiRequest, RmcpBmc, type RmcpBmcOptions } from './rmcp-bmc.ts'

const skip = existsSync('/usr/bin/ipmitool') ? false : 'needs ipmitool'

interface Made {
  bmc: Partial<RmcpBmcOptions>
  /** 127.0.0.1 unless given. */
  host?: string
  /** Power status unless given. */
  command?: string
  password?: string
}

/** The BMC answers one command with a completion code, or with nothing. */
const answering = (netFn: number, command: number, answer: IpmiAnswer): Partial<RmcpBmcOptions> => ({
  answer: (request: IpmiRequest) =>
    request.netFn === netFn && request.command === command ? answer : undefined,
})

const status = (code: number | null): Made => ({ bmc: answering(0x00, 0x01, code) })
const raw = (code: number | null): Made => ({
  bmc: answering(0x00, 0x08, code),
  command: 'raw 0x00 0x08 0x03 0x08',
})
const console = (code: number): Made => ({ bmc: answering(0x06, 0x48, code), command: 'sol activate' })
const level = (code: number): Made => ({ bmc: answering(0x06, 0x3b, code) })

const authenticationOnly15 = Buffer.from([1, 0x04, 0x04, 0, 0, 0, 0, 0])

const made: Partial<Record<IpmitoolTextName, Made>> = {
  'says nothing': { bmc: answering(0x06, 0x38, null) },
  'does not open a session': { bmc: { status: { open: null } } },
  'falls silent at RAKP 1': { bmc: { status: { rakp2: null } } },
  'falls silent at RAKP 3': { bmc: { status: { rakp4: null } } },
  'falls silent at a power reading': status(null),
  'falls silent at a power command': { bmc: answering(0x00, 0x02, null), command: 'chassis power on' },
  'falls silent at a raw command': raw(null),
  'has no address': { bmc: {}, host: 'a..b' },
  'has another password': { bmc: {}, password: 'wrong' },
  'does not know the user': { bmc: { user: 'somebody' } },
  'finds our proof wrong': { bmc: { status: { rakp4: 0x0f } } },
  'has no such authentication': { bmc: { suites: [3] } },
  'has no such cipher suite': { bmc: { status: { open: 0x11 } } },
  'gives the role to no such suite': { bmc: { status: { open: 0x09 } } },
  'gives the account less': { bmc: { status: { rakp2: 0x0a } } },
  'limits the session': level(0xd4),
  'limits the session, as Cisco does with 1.8.19': level(0x81),
  'is busy while a session opens': level(0xc0),
  'lost the half-open session': { bmc: { status: { rakp2: 0x08 } } },
  'has no session left': { bmc: { status: { open: 0x01 } } },
  'has a BMC key': { bmc: { bmcKey: 'k' } },
  'speaks IPMI 1.5 only': { bmc: answering(0x06, 0x38, authenticationOnly15) },
  'damages its answers': { bmc: { damages: ({ netFn, command }) => netFn === 0x00 && command === 0x01 } },
  'is busy': status(0xc0),
  'took too long within': status(0xc3),
  'is out of space': status(0xc4),
  'is starting': status(0xd2),
  'is being updated': status(0xd1),
  'updates its records': status(0xd0),
  'forbids it to the account': status(0xd4),
  'cannot in this state': { bmc: answering(0x00, 0x02, 0xd5), command: 'chassis power off' },
  'does not have the command': status(0xc1),
  'does not take the data': raw(0xcc),
  'does not take the parameter': raw(0xc9),
  'has a code of its own for the command': raw(0x80),
  'does not show the boot flags': { bmc: answering(0x00, 0x09, 0xff), command: 'chassis bootparam get 5' },
  'has given its console': console(0x80),
  'has given all its consoles': console(0x82),
  'has its console off': console(0x81),
  'has its console off, at the end of one': {
    bmc: answering(0x06, 0x49, 0x81),
    command: 'sol deactivate',
  },
  'wants its console encrypted': console(0x84),
  'wants its console unencrypted': console(0x83),
  'has no console to end': { bmc: answering(0x06, 0x49, 0x80), command: 'sol deactivate' },
  'has no serial over LAN': console(0xc1),
  'does not answer about its console': { bmc: answering(0x06, 0x48, null), command: 'sol activate' },
}

/** Read in ipmitool's sources only. */
const onlyRead: IpmitoolTextName[] = [
  'falls silent at RAKP 1, and calls every privilege insufficient',
  'takes another suite than was asked for',
  'is talked to by an old ipmitool',
]

const usual = { host: '127.0.0.1', command: 'chassis power status', password: 'secret' }

/** What it says in every run, and about its own attempts. */
const noise =
  /^(?:Loading IANA PEN Registry|Running Get VSO|Invalid completion code received|Discovered IPMB|RAW REQ| 03 08|IPMI Request Match NOT FOUND|No valid response received)/

function run({ command, host, password }: Required<Omit<Made, 'bmc'>>, port: number): Promise<string> {
  const session = ['-I', 'lanplus', '-H', host, '-p', String(port), '-U', 'admin', '-E', '-C', '17']
  // One second for each packet: the driver gives more, for the same words.
  const args = [...session, '-N', '1', '-R', '1', '-v', ...command.split(' ')]
  const env = { PATH: process.env['PATH'], IPMITOOL_PASSWORD: password }
  return new Promise((resolve) => {
    execFile('ipmitool', args, { env }, (error, _, stderr) => {
      assert.equal(error?.code, 1, 'exit status')
      resolve(stderr)
    })
  })
}

describe('ipmitool says, of a BMC that', { skip, concurrency: 8 }, () => {
  for (const [name, { bmc: options, ...rest }] of Object.entries(made)) {
    test(name, async (t) => {
      const bmc = new RmcpBmc({
        user: 'admin',
        password: 'secret',
        suites: [3, 17],
        manufacturer: 674,
        ...options,
      })
      const port = await bmc.listen()
      t.after(() => bmc.close())
      const lines = (await run({ ...usual, ...rest }, port)).split('\n')
      const told = lines.filter((line) => !noise.test(line))
      assert.equal(told.join('\n'), ipmitoolTexts[name as IpmitoolTextName].stderr)
    })
  }

  test('the other texts are known from its sources', () => {
    const all = [...Object.keys(made), ...onlyRead]
    assert.deepEqual(all.toSorted(), Object.keys(ipmitoolTexts).toSorted())
  })
})
