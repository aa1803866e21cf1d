import { parseArgs } from 'node:util'
import { deployImage } from '@byoi/imaging'
import { agentPatienceMs, runAgent } from './agent.ts'
import { readBootMedium } from './boot-medium.ts'
import { fileBackedServer } from './file-backed-server.ts'
import { logToStdout, sentenceOf } from './log.ts'

const usage =
  'usage: node main.ts --boot-medium FILE --disk PATH [--disk-serial TEXT] [--sector-size 512|4096]'

/** Exit status: 0 the outcome was heard, 1 stopped or failed without, 2 wrong usage. */
async function main(): Promise<number> {
  const options = readOptions()
  if (options === null) {
    process.stderr.write(`${usage}\n`)
    return 2
  }
  try {
    const end = await runAgent({
      medium: await readBootMedium(options.bootMedium),
      server: await fileBackedServer(options.disk),
      engine: deployImage,
      log: logToStdout,
      patienceMs: agentPatienceMs,
      signal: new AbortController().signal,
    })
    return end === 'done' ? 0 : 1
  } catch (error) {
    logToStdout(`Failed: ${sentenceOf(error)}`)
    return 1
  }
}

/** null when the arguments are wrong. */
function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        'boot-medium': { type: 'string' },
        disk: { type: 'string' },
        'disk-serial': { type: 'string' },
        'sector-size': { type: 'string', default: '512' },
      },
    })
    const { 'boot-medium': bootMedium, disk: path, 'disk-serial': serial } = values
    const sectorSize = Number(values['sector-size'])
    if (bootMedium === undefined || path === undefined) return null
    if (sectorSize !== 512 && sectorSize !== 4096) return null
    return { bootMedium, disk: { path, sectorSize, ...(serial === undefined ? {} : { serial }) } as const }
  } catch {
    return null
  }
}

// Not `process.exitCode`: a socket or a worker that is still closing must not keep the server on.
process.exit(await main())
