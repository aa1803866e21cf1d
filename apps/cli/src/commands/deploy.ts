import type { DeploymentBody } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import { readConfigDriveFile } from '../config-drive-file.ts'
import type { Context } from '../context.ts'
import { followToEnd, printView } from '../deployment.ts'
import { parseChecksum, parseHeader, parseLocation, parseType } from '../parse-image.ts'
import { printJson } from '../print.ts'
import { collect } from '../repeatable.ts'
import { signatureOf, type TrustOptions, withTrust } from '../trust-options.ts'
import { UsageError } from '../usage-error.ts'

interface DeployOptions extends Omit<ApiOptions, 'url'>, TrustOptions {
  url: string
  type: string
  header: string[]
  configdrive?: string
  description?: string
  diskGroup?: string
  growLastPartition?: boolean
  disk: string[]
  wait?: boolean
  json?: boolean
}

export function addDeploy(program: Command, context: Context): void {
  const command = program
    .command('deploy')
    .description("deploy an image onto a server; all data of the server's disk is lost")
    .argument('<service>', "the server's name")
    .requiredOption('--url <url>', 'where the server fetches the image from')
    .requiredOption('--type <type>', 'what the image is: qcow2, raw, ova or vmdk')
    .option('--checksum <type:hex>', 'digest of the image as served: md5, sha1, sha256 or sha512')
    .option('--header <header>', "'Name: value' to send to the image's server; may be repeated", collect, [])
    .option('--configdrive <file>', "JSON file with OVHcloud's configdrive object")
    .option('--description <text>', 'a description of the image')
    .option('--disk-group <number>', 'disk group to deploy to')
    .option('--disk <serial|wwn>', 'disk to deploy to; several get the same image each', collect, [])
    .option('--grow-last-partition', 'let the last partition reach to the end of the disk, in its table')
    .option('--wait', 'follow the deployment to its end')
    .option('--json', 'print the deployment as JSON')
  withTrust(command, { value: 'name', what: 'signing key of the account that must have signed' })
  withApi(command, '--endpoint').action((service: string, options: DeployOptions) =>
    deploy(service, options, context),
  )
}

async function deploy(service: string, options: DeployOptions, context: Context): Promise<void> {
  const body = requestBody(options)
  const { url: _imageUrl, ...api } = options
  const client = connect(api, context)
  // OVHcloud's call where it will do, so that the same command line works with its API and with older control planes.
  const { type, ...rest } = body
  const isOurs =
    type === 'vmdk' ||
    body.checkSumUrl !== undefined ||
    body.signatureUrl !== undefined ||
    body.growLastPartition ||
    body.disks !== undefined
  if (isOurs) await client.startDeployment(service, body)
  else await client.deploy(service, { ...rest, type })
  const view = await client.deployment(service)
  if (options.wait) return followToEnd(client, view, options, context)
  if (options.json) printJson(view, context)
  else printView(view, context)
}

function requestBody(options: DeployOptions): DeploymentBody {
  const checksum = options.checksum === undefined ? undefined : parseChecksum(options.checksum)
  return {
    URL: urlOf(options.url),
    type: parseType(options.type),
    ...(checksum === undefined ? {} : { checkSum: checksum.value, checkSumType: checksum.type }),
    ...verificationOf(options),
    ...(options.growLastPartition ? { growLastPartition: true } : {}),
    ...(options.disk.length === 0 ? {} : { disks: options.disk }),
    ...(options.header.length === 0
      ? {}
      : { httpHeader: options.header.map((header) => parseHeader(header)) }),
    ...(options.configdrive === undefined ? {} : { configdrive: readConfigDriveFile(options.configdrive) }),
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(options.diskGroup === undefined ? {} : { diskGroupId: parseDiskGroup(options.diskGroup) }),
  }
}

function verificationOf(options: TrustOptions): Partial<DeploymentBody> {
  const of = signatureOf(options)
  const { checksumUrl, checksumName, signature, key } = options
  return {
    ...(checksumUrl === undefined ? {} : { checkSumUrl: urlOf(checksumUrl) }),
    ...(checksumName === undefined ? {} : { checkSumName: checksumName }),
    ...(signature === undefined ? {} : { signatureUrl: urlOf(signature), signatureOf: of }),
    ...(key.length === 0 ? {} : { keyNames: key }),
  }
}

function urlOf(text: string): string {
  const { url, file } = parseLocation(text)
  if (file) throw new UsageError('Give http or https URLs, from which the server fetches.')
  return url
}

function parseDiskGroup(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new UsageError('A disk group is a number from 1.')
  return Number(text)
}
