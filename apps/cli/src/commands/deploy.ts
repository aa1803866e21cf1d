import type { ByoiBody } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import { readConfigDriveFile } from '../config-drive-file.ts'
import type { Context } from '../context.ts'
import { followToEnd, printView } from '../deployment.ts'
import { parseChecksum, parseHeader, parseDeployType, parseLocation } from '../parse-image.ts'
import { printJson } from '../print.ts'
import { collect } from '../repeatable.ts'
import { UsageError } from '../usage-error.ts'

interface DeployOptions extends Omit<ApiOptions, 'url'> {
  url: string
  type: string
  checksum?: string
  header: string[]
  configdrive?: string
  description?: string
  diskGroup?: string
  wait?: boolean
  json?: boolean
}

export function addDeploy(program: Command, context: Context): void {
  const command = program
    .command('deploy')
    .description("deploy an image onto a server; all data of the server's disk is lost")
    .argument('<service>', "the server's name")
    .requiredOption('--url <url>', 'where the server fetches the image from')
    .requiredOption('--type <type>', 'what the image is: qcow2, raw or ova')
    .option('--checksum <type:hex>', 'digest of the image as served: md5, sha1, sha256 or sha512')
    .option('--header <header>', "'Name: value' to send to the image's server; may be repeated", collect, [])
    .option('--configdrive <file>', "JSON file with OVHcloud's configdrive object")
    .option('--description <text>', 'a description of the image')
    .option('--disk-group <number>', 'disk group to deploy to')
    .option('--wait', 'follow the deployment to its end')
    .option('--json', 'print the deployment as JSON')
  withApi(command, '--endpoint').action((service: string, options: DeployOptions) =>
    deploy(service, options, context),
  )
}

async function deploy(service: string, options: DeployOptions, context: Context): Promise<void> {
  const body = requestBody(options)
  const { url: _imageUrl, ...api } = options
  const client = connect(api, context)
  await client.deploy(service, body)
  const view = await client.deployment(service)
  if (options.wait) return followToEnd(client, view, options, context)
  if (options.json) printJson(view, context)
  else printView(view, context)
}

function requestBody(options: DeployOptions): ByoiBody {
  const { url, file } = parseLocation(options.url)
  if (file) throw new UsageError('Give the http or https URL from which the server fetches the image.')
  const checksum = options.checksum === undefined ? undefined : parseChecksum(options.checksum)
  return {
    URL: url,
    type: parseDeployType(options.type),
    ...(checksum === undefined ? {} : { checkSum: checksum.value, checkSumType: checksum.type }),
    ...(options.header.length === 0
      ? {}
      : { httpHeader: options.header.map((header) => parseHeader(header)) }),
    ...(options.configdrive === undefined ? {} : { configdrive: readConfigDriveFile(options.configdrive) }),
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(options.diskGroup === undefined ? {} : { diskGroupId: parseDiskGroup(options.diskGroup) }),
  }
}

function parseDiskGroup(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new UsageError('A disk group is a number from 1.')
  return Number(text)
}
