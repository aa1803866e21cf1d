import { existsSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

const root = join(import.meta.dirname, '../../..')

/** The agent's main file in the RAM of a server. */
export const agentEntry = join(root, 'apps/agent/src/ram/main.ts')
/** The image engine starts its threads from files of these names beside the bundle that it is in. */
const threads = {
  'worker.mjs': join(root, 'packages/imaging/src/pipeline/worker.ts'),
  'unpack-thread.mjs': join(root, 'packages/imaging/src/unpack/unpack-thread.ts'),
}

/** File names of the bundles, each with its content. */
export type Bundles = Readonly<Record<string, string>>

/**
 * Joins the agent and all that it imports into `agent.mjs`, and what the image engine's threads run into files of their own.
 * @throws {Error} when there is no such entry, or an import of it cannot be found.
 */
export async function bundleAgent(entry: string): Promise<Bundles> {
  if (!existsSync(entry)) throw new Error(`There is no agent to put into the ramdisk: ${entry} is missing.`)
  const bundles: Record<string, string> = { 'agent.mjs': await bundle(entry) }
  for (const [name, thread] of Object.entries(threads)) bundles[name] = await bundle(thread)
  return bundles
}

async function bundle(entry: string): Promise<string> {
  const build = await rolldown({
    input: entry,
    cwd: root,
    platform: 'node',
    external: [/^node:/],
    plugins: [{ name: 'built-in modules', renderChunk: requireBuiltIns }],
  })
  try {
    // Names stay as they are, for stack traces.
    const minify = { compress: true, mangle: false, codegen: { removeWhitespace: true } }
    const { output } = await build.generate({ format: 'esm', codeSplitting: false, minify })
    return output[0].code
  } finally {
    await build.close()
  }
}

/**
 * Takes Node's own modules from the process instead of importing them: an import evaluates every property of such a module, and those of
 * `node:http` load all that `fetch` is made of. It is a fifth of the time until the agent runs.
 *
 * @throws {Error} when an import is written in another way than the bundler is known to write it.
 */
export function requireBuiltIns(code: string): string {
  const changed = code.replaceAll(
    /^import (?:(?<whole>[\w$]+)(?:, )?)?(?:\{(?<names>[^}]*)\}|\* as (?<space>[\w$]+))? ?from[ ]"(?:node:)?(?<module>[\w/]+)";$/gm,
    (...match): string => {
      const { whole, names, space, module = '' } = match.at(-1) as Record<string, string | undefined>
      if (!isBuiltin(module)) return match[0]
      const targets = [whole, space, names && `{${names.replaceAll(' as ', ': ')}}`].filter((each) => each)
      return targets
        .map((target) => `const ${target} = process.getBuiltinModule("node:${module}");`)
        .join('\n')
    },
  )
  const left = /^import\b.*/m.exec(changed)
  if (left !== null)
    throw new Error(`The bundler writes an import in an unknown way: ${left[0].slice(0, 200)}`)
  return changed
}
