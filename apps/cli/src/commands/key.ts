import { type AccessRule, parseAccessRule, ruleMethods } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, clientOf, connect, findAccess, withApi } from '../api-options.ts'
import type { Context } from '../context.ts'
import { printOvhConf } from '../ovh-conf.ts'
import { printJson, printTable } from '../print.ts'
import { collect } from '../repeatable.ts'
import { UsageError } from '../usage-error.ts'

/** What a customer needs to deploy and to follow. */
const byoiRules: AccessRule[] = [
  ...(['GET', 'POST', 'PUT', 'DELETE'] as const).flatMap((method) => [
    { method, path: '/dedicated/server' },
    { method, path: '/dedicated/server/*' },
  ]),
  { method: 'GET', path: '/byoi/*' },
  { method: 'POST', path: '/byoi/*' },
  { method: 'DELETE', path: '/byoi/signingKey/*' },
  { method: 'GET', path: '/auth/*' },
]

interface CreateOptions extends ApiOptions {
  account: string
  rule: string[]
  all?: boolean
  operator?: boolean
  description?: string
  json?: boolean
}

export function addKey(program: Command, context: Context): void {
  const key = program.command('key').description('keys for the API; for operators')
  const create = key
    .command('create')
    .description('make an application key, secret and consumer key, and print an ovh.conf; shown this once')
    .option('--account <name>', 'account that the key acts for', 'default')
    .option('--rule <rule>', "'METHOD /path*'; may be repeated; default: what byoi needs", collect, [])
    .option('--all', 'every method on every path')
    .option('--operator', 'a key for operators: all accounts, servers and keys')
    .option('--description <text>', 'what the key is for')
    .option('--json', 'print {endpoint, applicationKey, applicationSecret, consumerKey}')
  withApi(create, '--url').action((options: CreateOptions) => createKey(options, context))

  const list = key
    .command('list')
    .description('all keys, without their secrets')
    .option('--json', 'print them as JSON')
  withApi(list, '--url').action((options: ApiOptions & { json?: boolean }) => listKeys(options, context))

  const revoke = key
    .command('revoke')
    .description('make a key useless')
    .argument('<application-key>', 'as key list shows it')
  withApi(revoke, '--url').action(async (applicationKey: string, options: ApiOptions) => {
    await connect(options, context).revokeKey(applicationKey)
    context.stdout.write(`Revoked ${applicationKey}.\n`)
  })
}

async function createKey(options: CreateOptions, context: Context): Promise<void> {
  const rules = accessRules(options)
  const access = findAccess(options, context)
  const made = await clientOf(access).createKey({
    account: options.account,
    rules,
    ...(options.operator === undefined ? {} : { operator: options.operator }),
    ...(options.description === undefined ? {} : { description: options.description }),
  })
  const { applicationKey, applicationSecret, consumerKey } = made
  const key = { endpoint: access.endpoint, applicationKey, applicationSecret, consumerKey }
  if (options.json) printJson(key, context)
  else context.stdout.write(printOvhConf(key))
}

function accessRules(options: CreateOptions): AccessRule[] {
  if (options.all && options.rule.length > 0) throw new UsageError('Give either --all or --rule.')
  if (options.all) return ruleMethods.map((method) => ({ method, path: '/*' }))
  if (options.rule.length === 0) return byoiRules
  return options.rule.map((text) => {
    const rule = parseAccessRule(text)
    if (rule === null) throw new UsageError(`"${text}" is no rule; write one as 'GET /dedicated/server/*'.`)
    return rule
  })
}

async function listKeys(options: ApiOptions & { json?: boolean }, context: Context): Promise<void> {
  const keys = await connect(options, context).listKeys()
  if (options.json) return printJson(keys, context)
  printTable(
    [
      ['APPLICATION KEY', 'ACCOUNT', 'STATE', 'OPERATOR', 'RULES', 'CREATED', 'DESCRIPTION'],
      ...keys.map((key) => [
        key.applicationKey,
        key.account,
        key.state,
        key.operator ? 'yes' : 'no',
        String(key.rules.length),
        key.createdAt,
        key.description,
      ]),
    ],
    context,
  )
}
