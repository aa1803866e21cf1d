import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import type { Context } from '../context.ts'
import { printJson, printTable } from '../print.ts'
import { readKey } from '../trust-options.ts'

interface PrintOptions extends ApiOptions {
  json?: boolean
}

export function addSigningKey(program: Command, context: Context): void {
  const signingKey = program
    .command('signing-key')
    .description('public keys of the account, for byoi deploy --key: whose signature an image must have')

  const add = signingKey
    .command('add')
    .description('register a public key of minisign or OpenPGP')
    .argument('<name>', 'how deployments name it: lower-case letters, digits, dot, dash, underscore')
    .argument('<file|string>', 'the public key')
    .option('--json', 'print it as JSON')
  withApi(add, '--url').action(async (name: string, key: string, options: PrintOptions) => {
    const added = await connect(options, context).addSigningKey({ name, key: readKey(key) })
    if (options.json) printJson(added, context)
    else context.stdout.write(`Added ${added.name}, ${added.format} ${added.ids.join(', ')}.\n`)
  })

  const list = signingKey.command('list').description('all of them').option('--json', 'print them as JSON')
  withApi(list, '--url').action((options: PrintOptions) => listSigningKeys(options, context))

  const remove = signingKey
    .command('remove')
    .description('remove one; deployments that have begun keep it')
    .argument('<name>', 'as signing-key list shows it')
  withApi(remove, '--url').action(async (name: string, options: ApiOptions) => {
    await connect(options, context).removeSigningKey(name)
    context.stdout.write(`Removed ${name}.\n`)
  })
}

async function listSigningKeys(options: PrintOptions, context: Context): Promise<void> {
  const keys = await connect(options, context).signingKeys()
  if (options.json) return printJson(keys, context)
  const rows = keys.map(({ name, format, ids, createdAt }) => [name, format, ids.join(', '), createdAt])
  printTable([['NAME', 'FORMAT', 'IDS', 'CREATED'], ...rows], context)
}
