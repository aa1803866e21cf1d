import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'

export interface DnsRecord {
  type: 'A' | 'AAAA' | 'CNAME'
  /** An address, or the name that a CNAME points to. */
  data: string
  /** Whose record it is; left out: the name that was asked for. */
  name?: string
  /** In s; left out: 0. */
  ttl?: number
}

/** What is answered; null: there is no such name. `count`: how often the same was asked before. */
export type DnsScript = (name: string, type: 'A' | 'AAAA', count: number) => DnsRecord[] | null

export interface DnsServer extends AsyncDisposable {
  /** Names that were asked for, with the type. */
  queries: string[]
}

const TYPES = { A: 1, CNAME: 5, AAAA: 28 }

/** A DNS server over UDP that answers as `script` says (RFC 1035): recursive by its own word, without compression. */
export async function dnsServer(script: DnsScript, host: string, port: number): Promise<DnsServer> {
  const socket: Socket = createSocket('udp4')
  const queries: string[] = []
  socket.on('message', (query, from) => {
    const { name, end } = readName(query, 12)
    const type = query.readUInt16BE(end) === TYPES.A ? 'A' : 'AAAA'
    const asked = `${name} ${type}`
    const records = script(name, type, queries.filter((each) => each === asked).length)
    queries.push(asked)
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(records === null ? 0x8183 : 0x8180, 2) // NXDOMAIN or NOERROR
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(records?.length ?? 0, 6)
    const question = query.subarray(12, end + 4)
    const answers = (records ?? []).map((record) => wire(record, name))
    socket.send(Buffer.concat([header, question, ...answers]), from.port, from.address)
  })
  socket.bind(port, host)
  await once(socket, 'listening')
  return {
    queries,
    async [Symbol.asyncDispose]() {
      socket.close()
      await once(socket, 'close')
    },
  }
}

function readName(message: Buffer, from: number): { name: string; end: number } {
  const labels: string[] = []
  let at = from
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), end: at + 1 }
}

function wire({ name, type, data, ttl = 0 }: DnsRecord, asked: string): Buffer {
  const content = type === 'CNAME' ? nameBytes(data) : addressBytes(data)
  const fields = Buffer.alloc(10)
  fields.writeUInt16BE(TYPES[type], 0)
  fields.writeUInt16BE(1, 2) // IN
  fields.writeUInt32BE(ttl, 4)
  fields.writeUInt16BE(content.length, 8)
  return Buffer.concat([nameBytes(name ?? asked), fields, content])
}

const nameBytes = (name: string): Buffer =>
  Buffer.concat(
    [...name.split('.'), ''].map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
  )

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const plain = new URL(`http://[${address}]/`).hostname.slice(1, -1) // without dots
  const [front = [], back = []] = plain
    .split('::')
    .map((part) => part.split(':').filter((word) => word !== ''))
  const words = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back]
  return Buffer.from(words.map((word) => word.padStart(4, '0')).join(''), 'hex')
}
