import { Command } from 'commander'
import {
  type Address,
  collectCidr,
  collectUrl,
  mebibyte,
  parseAddress,
  parseDays,
  parseLevel,
  parseLoopback,
  parseSecureUrl,
  parseSize,
  parseUrl,
} from './config-values.ts'

/** As commander gives them. */
export interface UpOptions {
  data: string
  listen: Address
  http?: Address
  database?: string
  publicUrl: string[]
  provisioning?: Address
  provisioningUrl?: string
  mediaUrl?: string
  agentUrl?: string
  ramdisk?: string
  phoneHome?: boolean
  consoleDays: number
  allowAddress: string[]
  allowPrivateAddresses?: boolean
  spool: number
  logLevel: string
}

/** The arguments of `byoi up`. */
export const upCommand = (defaultData: string): Command =>
  new Command('byoi up')
    .description(
      'Start the control plane: the API, the workflow, and where servers and agents call. Prints a line that begins with "ready" when it serves.',
    )
    .option('--data <dir>', 'state: keys, certificates, embedded database', defaultData)
    .option('--listen <host:port>', 'HTTPS; port 0 takes any that is free', parseAddress, {
      host: '127.0.0.1',
      port: 8443,
    })
    .option('--http <host:port>', 'plain HTTP beside it, on a loopback address only', parseLoopback)
    .option('--database <url>', 'PostgreSQL 15 or newer instead of the embedded one')
    .option('--public-url <url>', 'a name under which clients know the API (repeatable)', collectUrl, [])
    .option(
      '--provisioning <host:port>',
      'plain HTTP from which real servers boot, on an isolated network; nothing else is served there',
      parseAddress,
    )
    .option('--provisioning-url <url>', 'how servers see it; default: its own address', parseUrl)
    .option('--media-url <url>', 'how BMCs see it; default: as servers do', parseUrl)
    .option(
      '--agent-url <url>',
      'https URL that the agents of real servers call; default: the public URL',
      parseSecureUrl,
    )
    .option('--ramdisk <dir>', 'what byoi ramdisk build made; default: ramdisk in the data directory')
    .option(
      '--phone-home',
      'ask deployed systems with a config drive to tell --provisioning that they have booted',
    )
    .option('--console-days <days>', 'how long recordings of serial consoles are kept', parseDays, 30)
    .option(
      '--allow-address <cidr>',
      'images may come from these addresses although they are loopback or such (repeatable)',
      collectCidr,
      [],
    )
    .option('--allow-private-addresses', 'images may come from private addresses (default)')
    .option('--no-allow-private-addresses', 'images may not come from private addresses (RFC 1918, ULA)')
    .option(
      '--spool <size>',
      'RAM of an agent for image data whose place is not known yet',
      parseSize,
      256 * mebibyte,
    )
    .option('--log-level <level>', 'of the JSON log on stderr', parseLevel, 'info')
