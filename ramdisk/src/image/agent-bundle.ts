import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

const root = join(import.meta.dirname, '../../..')

/** The agent's main file in the RAM of a server. */
export const agentEntry = join(root, 'apps/agent/src/ram/main.ts')
/** The image engine starts its threads from a file of this name beside the bundle that it is in. */
const threads = { entry: join(root, 'packages/imaging/src/pipeline/worker.ts'), name: 'worker.mjs' }

/** File names of the bundles, each with its content. */
export type Bundles = Readonly<Record<string, string>>

/**
 * Joins the agent and all that it imports into `agent.mjs`, and what the image engine's threads run into `worker.mjs`.
 * @throws {Error} when there is no such entry, or an import of it cannot be found.
 */
export async function bundleAgent(entry: string): Promise<Bundles> {
  if (!existsSync(entry)) throw new Error(`There is no agent to put into the ramdisk: ${entry} is missing.`)
  return { 'agent.mjs': await bundle(entry), [threads.name]: await bundle(threads.entry) }
}

async function bundle(entry: string): Promise<string> {
  const build = await rolldown({ input: entry, cwd: root, platform: 'node', external: [/^node:/] })
  try {
    // Names stay readable in stack traces; white space packs well, comments go.
    const { output } = await build.generate({ format: 'esm', codeSplitting: false, comments: false })
    return output[0].code
  } finally {
    await build.close()
  }
}
