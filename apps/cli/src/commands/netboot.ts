import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import type { Context } from '../context.ts'
import { dnsmasqConfig } from '../netboot/dnsmasq.ts'
import { otherDhcpServers } from '../netboot/other-dhcp.ts'
import { findSubnet } from '../netboot/subnet.ts'
import { printJson } from '../print.ts'
import { UsageError } from '../usage-error.ts'

interface ConfigOptions extends ApiOptions {
  interface?: string
  subnet?: string
  tftp?: string
  proxy?: boolean
  json?: boolean
}

export function addNetboot(program: Command, context: Context): void {
  const netboot = program
    .command('netboot')
    .description('how real servers boot from the network; for operators')
  const config = netboot
    .command('config')
    .description('print a configuration of dnsmasq with which the servers boot from this control plane')
    .option(
      '--interface <name>',
      'network interface of the servers; default: the one of the provisioning URL',
    )
    .option('--subnet <cidr>', 'its network, such as 10.77.0.0/24, where dnsmasq runs on another machine')
    .option('--tftp <dir>', 'where dnsmasq finds undionly.kpxe and snponly.efi; default: ipxe of the ramdisk')
    .option('--proxy', 'another DHCP server gives the addresses; dnsmasq adds what to boot')
    .option('--json', 'print {mode, interface, network, tftp, provisioningUrl, config}')
  withApi(config, '--url').action((options: ConfigOptions) => printConfig(options, context))
}

async function printConfig(options: ConfigOptions, context: Context): Promise<void> {
  const client = connect(options, context)
  const netboot = await client.netboot()
  const servers = await client.listServers()
  const { hostname: host } = new URL(netboot.provisioningUrl)
  const subnet = findSubnet({ interfaceName: options.interface, cidr: options.subnet, host })
  const tftp = resolve(options.tftp ?? `${netboot.ramdisk}/ipxe`)
  if (/[\s,#"]/.test(tftp)) throw new UsageError(`dnsmasq cannot take the directory ${JSON.stringify(tftp)}.`)
  const proxy = options.proxy ?? false
  const config = dnsmasqConfig({ netboot, servers, subnet, proxy, tftp })
  if (!options.json)
    return void context.stdout.write(config + otherDhcpServers(netboot.provisioningUrl, host))
  const { interface: name, network, mask } = subnet
  const { provisioningUrl } = netboot
  const mode = proxy ? 'proxy' : 'dhcp'
  printJson({ mode, interface: name, network, mask, tftp, provisioningUrl, config }, context)
}
