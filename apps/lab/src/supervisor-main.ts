/** One virtual server as a process: `supervisor-main.ts PLAN.json`. Tells its parent when its BMC can be called; ends by SIGTERM. */
import { readFile } from 'node:fs/promises'
import { type ServerPlan } from './server-plan.ts'
import { supervise } from './supervise.ts'

const log = (line: string): void => {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`)
}

const asked = new Promise<string>((resolve) => {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve(name))
})
try {
  const plan = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as ServerPlan
  const server = await supervise(plan, log)
  log(`the BMC of ${plan.name} listens`)
  process.send?.('ready')
  if (process.connected) process.disconnect()
  log(`${await asked}: turning everything off`)
  await server.close()
  process.exit(0)
} catch (error) {
  log((error as Error).message)
  process.exit(1)
}
