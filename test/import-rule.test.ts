import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, test } from 'node:test'

const root = join(import.meta.dirname, '..')

/** Who may import which workspace, and what to do instead. The table stands in ARCHITECTURE.md too. */
const rules = [
  { folder: 'packages/contract', may: [], instead: 'a package stands alone: take the value as an argument' },
  { folder: 'packages/signing', may: [], instead: 'a package stands alone: take the value as an argument' },
  {
    folder: 'packages/imaging',
    may: ['signing'],
    instead: 'the caller translates between the contract and the engine',
  },
  { folder: 'packages/bmc', may: [], instead: 'a BMC driver takes plain values: pass them in' },
  {
    folder: 'apps/control',
    may: ['contract', 'bmc', 'signing'],
    instead: 'the control plane touches no image: let the agent do it, by an order',
  },
  {
    folder: 'apps/agent',
    may: ['contract', 'imaging'],
    instead: 'the agent knows no BMC and no database: let it report, and the control plane act',
  },
  { folder: 'apps/cli', may: ['contract', 'imaging'], instead: 'the command line asks the API' },
  {
    folder: 'apps/lab',
    may: ['contract', 'bmc'],
    instead: 'the lab is the far side: it knows byoi by its command line and its API only',
  },
  {
    folder: 'ramdisk',
    may: ['contract'],
    instead: 'the ramdisk packs the programs: name their entry files to the bundler',
  },
  { folder: 'scripts', may: ['contract', 'imaging', 'bmc'], instead: 'start the program as its own process' },
  { folder: 'test', may: ['contract', 'imaging', 'bmc'], instead: 'start the program as its own process' },
]

const importPatterns = [
  /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm,
  /^\s*import\s*['"]([^'"]+)['"]/gm,
  /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
]

const importsOf = (source: string): string[] =>
  importPatterns.flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1] ?? ''))

const sourcesIn = (folder: string): string[] =>
  globSync(`${folder}/**/*.ts`, { cwd: root, exclude: (path) => path.includes('node_modules') })

const readJson = (path: string): Record<string, Record<string, string>> =>
  JSON.parse(readFileSync(join(root, path), 'utf8')) as Record<string, Record<string, string>>

const manifests = globSync('{packages/*,apps/*,ramdisk}/package.json', { cwd: root })

/** Scripts and tests may use whatever one of the workspaces uses. */
function declaredDependencies(folder: string): Set<string> {
  const own = manifests.filter((path) => path === `${folder}/package.json`)
  return new Set(
    ['package.json', ...(own.length > 0 ? own : manifests)]
      .map(readJson)
      .flatMap((each) => [
        ...Object.keys(each['dependencies'] ?? {}),
        ...Object.keys(each['devDependencies'] ?? {}),
      ]),
  )
}

const packageName = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

/** What is wrong with one import, or undefined. */
function fault(rule: (typeof rules)[number], path: string, specifier: string): string | undefined {
  if (isBuiltin(specifier)) return specifier.startsWith('node:') ? undefined : `write node:${specifier}`
  if (specifier.startsWith('.')) {
    const target = relative(root, resolve(root, dirname(path), specifier))
    const inside = target.startsWith(`${rule.folder}/`)
    const testHelp = rule.folder === 'test' && target.startsWith('scripts/')
    return inside || testHelp ? undefined : `reaches into ${target}; ${rule.instead}`
  }
  const workspace = /^@byoi\/([^/]+)(\/.*)?$/.exec(specifier)
  if (workspace !== null) {
    const name = workspace[1] ?? ''
    if (workspace[2] !== undefined) return `imports a part of @byoi/${name}; export it from its index.ts`
    const allowed: readonly string[] = rule.may
    return allowed.includes(name) ? undefined : `must not import @byoi/${name}; ${rule.instead}`
  }
  return declaredDependencies(rule.folder).has(packageName(specifier))
    ? undefined
    : `${packageName(specifier)} is not in ${rule.folder}/package.json`
}

describe('Who may import whom', () => {
  for (const rule of rules) {
    test(`${rule.folder} imports only what it may`, () => {
      const paths = sourcesIn(rule.folder)
      assert.ok(paths.length > 0, `${rule.folder} holds no sources`)
      const faults = paths.flatMap((path) =>
        importsOf(readFileSync(join(root, path), 'utf8')).flatMap((specifier) => {
          const what = fault(rule, path, specifier)
          return what === undefined ? [] : [`${path}: import '${specifier}': ${what}`]
        }),
      )
      assert.deepEqual(faults, [])
    })
  }

  test('every workspace has a row in the table', () => {
    const folders = manifests.map((path) => dirname(path))
    assert.deepEqual(
      folders.filter((folder) => !rules.some((rule) => rule.folder === folder)),
      [],
    )
  })
})

/** Code that no source may hold. `in`: folders it is forbidden in; tests beside the code are free. */
const forbidden = [
  {
    what: 'a shell for a child process',
    pattern: /\bshell:\s*true\b|import\s*\{[^}]*\bexec(?:Sync)?\b[^}]*\}\s*from\s*'node:child_process'/,
    in: rules.map((rule) => rule.folder),
    instead: 'spawn or execFile with an argument vector',
  },
  {
    what: 'a setting read from the environment in a package',
    pattern: /\bprocess\.env(?:\.|\[)/,
    in: ['packages/contract', 'packages/signing', 'packages/imaging', 'packages/bmc'],
    instead: 'take the setting as an argument; main files read the environment',
  },
  {
    what: 'an image tool in a program that deploys',
    pattern: /'(?:qemu-img|qemu-nbd|sgdisk|sfdisk|parted)'/,
    in: ['packages/imaging', 'apps/agent', 'apps/control', 'apps/cli'],
    instead: 'our own strict code in packages/imaging',
  },
]

/** Tests and what only they use: `x.test.ts`, `x.fixture.ts`, `testing/x.ts`. */
const isTest = (path: string): boolean => /\.(?:test|fixture)\.ts$|\/testing\//.test(path)

describe('What no source holds', () => {
  for (const rule of forbidden) {
    test(`no source holds ${rule.what}`, () => {
      const faults = rule.in
        .flatMap((folder) => sourcesIn(folder))
        .filter((path) => !isTest(path) && rule.pattern.test(readFileSync(join(root, path), 'utf8')))
      assert.deepEqual(faults, [], `use ${rule.instead}`)
    })
  }
})

describe('The rule itself', () => {
  const control = rules.find((rule) => rule.folder === 'apps/control')
  const cases = [
    { specifier: '@byoi/imaging', refused: true },
    { specifier: '@byoi/contract', refused: false },
    { specifier: '@byoi/contract/src/secret.ts', refused: true },
    { specifier: '../../agent/src/main.ts', refused: true },
    { specifier: './steps/reset.ts', refused: false },
    { specifier: 'left-pad', refused: true },
    { specifier: 'node:fs', refused: false },
  ]
  for (const { specifier, refused } of cases) {
    test(`the control plane ${refused ? 'must not' : 'may'} import ${specifier}`, () => {
      assert.ok(control)
      const source = `import { x } from '${specifier}'\n`
      assert.deepEqual(importsOf(source), [specifier])
      const what = fault(control, 'apps/control/src/workflow.ts', specifier)
      assert.equal(what !== undefined, refused, what)
    })
  }
})
