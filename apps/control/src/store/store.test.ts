import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { sql } from 'kysely'
import { pino } from 'pino'
import { account, type Bench, caller, openBench } from '../control-plane.fixture.ts'
import { StartError } from '../start-error.ts'
import { startPostgres } from './embedded-postgres.ts'
import { migrate } from './database.ts'
import { checkMasterKey } from './keys-port.ts'
import { readMasterKey, SealingKey } from './secrets.ts'

const logger = pino({ level: 'fatal' })
const isRoot = process.getuid?.() === 0

const temporaryDirectory = async () => {
  const path = await mkdtemp(join(tmpdir(), 'byoi-store-'))
  await chmod(path, 0o711)
  return path
}

describe('a sealing key', () => {
  const key = SealingKey.generate()

  test('opens what it has sealed, for the same purpose only', () => {
    const sealed = key.seal('text', 'one')
    assert.equal(key.openText(sealed, 'one').reveal(), 'text')
    assert.throws(() => key.open(sealed, 'two'))
    assert.throws(() => SealingKey.generate().open(sealed, 'one'))
  })

  test('notices a change of any byte', () => {
    const sealed = key.seal('text', 'one')
    for (const at of sealed.keys()) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      assert.throws(() => key.open(changed, 'one'), String(at))
    }
  })

  test('never seals the same text to the same bytes', () => {
    assert.ok(!key.seal('text', 'one').equals(key.seal('text', 'one')))
  })

  test('is made once, for its owner only, and a damaged one is not replaced', async (t) => {
    const directory = await temporaryDirectory()
    t.after(async () => await rm(directory, { recursive: true }))
    const keys = await Promise.all(Array.from({ length: 5 }, () => readMasterKey(directory)))
    const sealed = keys[0]?.seal('text', 'one') ?? Buffer.alloc(0)
    for (const each of keys) assert.equal(each.open(sealed, 'one').toString(), 'text')
    const path = join(directory, 'master.key')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(directory), ['master.key'])
    await writeFile(path, randomBytes(5))
    await assert.rejects(readMasterKey(directory), StartError)
    assert.equal((await readFile(path)).length, 5)
  })
})

describe('the embedded database', () => {
  test('is refused where its user cannot pass, naming the directory', {
    skip: !isRoot && 'root',
  }, async (t) => {
    const directory = await temporaryDirectory()
    t.after(async () => await rm(directory, { recursive: true }))
    await chmod(directory, 0o700)
    const starting = startPostgres(join(directory, 'a', 'b'), logger)
    await assert.rejects(starting, (error: StartError) => {
      assert.match(error.message, /byoi-pg cannot pass through/)
      assert.ok(error.remedy.includes(directory))
      return true
    })
  })

  test('is refused where its socket would have too long a path', async (t) => {
    const directory = await temporaryDirectory()
    t.after(async () => await rm(directory, { recursive: true }))
    await assert.rejects(
      startPostgres(join(directory, 'x'.repeat(100)), logger),
      /too long for the database's socket/,
    )
  })

  test('is initialised anew when the first time was cut short', async (t) => {
    const directory = await temporaryDirectory()
    const first = await startPostgres(directory, logger)
    await first.stop()
    await rm(join(directory, 'initialised'))
    await rm(join(directory, 'data', 'PG_VERSION'))
    const second = await startPostgres(directory, logger)
    t.after(async () => await rm(directory, { recursive: true }))
    await second.stop()
  })
})

describe('the store', () => {
  let bench: Bench
  before(async () => {
    bench = await openBench()
  })
  after(async () => await bench.close())

  test('has the tables and columns that schema.ts says', async () => {
    const text = await readFile(join(import.meta.dirname, 'schema.ts'), 'utf8')
    const interfaces = [...text.matchAll(/^(?:export )?interface (\w+)Table \{\n([\s\S]*?)^\}/gm)]
    const written = new Map(
      interfaces.map(([, name = '', body = '']) => [
        name.replaceAll(/(?!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
        [...body.matchAll(/^ {2}(\w+): (.+)$/gm)]
          .map(([, column, type = '']) => `${column}${/\| null(?!>)/.test(type) ? '?' : ''}`)
          .sort(),
      ]),
    )
    const { rows } = await sql<{ table: string; column: string; nullable: string }>`
      select table_name as table, column_name as column, is_nullable as nullable
      from information_schema.columns where table_schema = 'public' and table_name not like 'kysely_%'
      `.execute(bench.db)
    const real = new Map<string, string[]>()
    for (const { table, column, nullable } of rows) {
      real.set(table, [...(real.get(table) ?? []), `${column}${nullable === 'YES' ? '?' : ''}`])
    }
    assert.equal(real.size, 15)
    for (const [table, columns] of real) assert.deepEqual(written.get(table), columns.sort(), table)
  })

  test('is brought up to date by several replicas at once', async () => {
    await Promise.all([migrate(bench.db), migrate(bench.db), migrate(bench.db)])
  })

  test('finds a key by its consumer key, until it is revoked', async () => {
    const { keys, credentials } = bench.ports
    const rules = [{ method: 'GET' as const, path: '/*' }]
    const key = await keys.create(
      { account, operator: false, rules, description: 'x', expiresInMs: null },
      caller,
    )
    const found = await credentials.findConsumer(key.consumerKey.reveal())
    assert.deepEqual([found?.state, found?.account, found?.rules], ['validated', account, rules])
    const application = await credentials.findApplication(key.applicationKey)
    assert.equal(application?.applicationSecret.reveal(), key.applicationSecret.reveal())
    assert.equal(await credentials.findConsumer(key.applicationKey), null)
    assert.equal(await keys.revoke(key.applicationKey, caller), true)
    assert.equal((await credentials.findConsumer(key.consumerKey.reveal()))?.state, 'revoked')
    assert.equal(await keys.revoke('nobody', caller), false)
  })

  test('tells that a key has expired', async () => {
    const { keys, credentials } = bench.ports
    const key = await keys.create(
      { account, operator: false, rules: [], description: '', expiresInMs: 0 },
      caller,
    )
    assert.equal((await credentials.findConsumer(key.consumerKey.reveal()))?.state, 'expired')
  })

  test('lets a signature be used once, by whoever is first', async () => {
    const claims = await Promise.all(
      Array.from({ length: 20 }, () => bench.ports.replays.claim('ab'.repeat(32), 60_000)),
    )
    assert.equal(claims.filter(Boolean).length, 1)
  })

  test('gives a server to its account only', async () => {
    const server = await bench.addServer()
    const { servers } = bench.ports
    assert.equal((await servers.find(account, server.name))?.serviceName, server.name)
    assert.equal(await servers.find('another', server.name), null)
    assert.deepEqual(await servers.list('another'), [])
    assert.ok((await servers.list(account)).includes(server.name))
  })

  test('does not remove a server while a deployment is open', async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const { servers } = bench.ports
    assert.deepEqual(await servers.remove(server.name, caller), { kind: 'busy', deploymentId: id })
    const other = await bench.addServer()
    assert.deepEqual(await servers.remove(other.name, caller), { kind: 'removed' })
    assert.deepEqual(await servers.remove(other.name, caller), { kind: 'none' })
  })

  test('is refused with another master key than the one it was made with', async () => {
    const rules = [{ method: 'GET' as const, path: '/*' }]
    await bench.ports.keys.create(
      { account, operator: false, rules, description: '', expiresInMs: null },
      caller,
    )
    await checkMasterKey(bench.db, bench.context.masterKey)
    await assert.rejects(checkMasterKey(bench.db, SealingKey.generate()), StartError)
  })

  test('gives a disk to one server only, by whatever name it is called', async () => {
    const { servers } = bench.ports
    const alias = join(bench.directory, 'alias.disk')
    const target = join(bench.directory, 'shared.disk')
    await writeFile(target, Buffer.alloc(4096))
    await symlink(target, alias)
    const add = async (serviceName: string, disk: string) =>
      await servers.add(
        {
          serviceName,
          account,
          boot: 'uefi',
          diskGroups: [
            { diskGroupId: 1, description: '', size: 4096, disks: [{ serial: 'a', wwn: null, size: 4096 }] },
          ],
          bmc: { kind: 'local', settings: { disk }, password: null },
          agentBoot: null,
        },
        caller,
      )
    const names = ['one.example', 'two.example', 'three.example']
    const added = await Promise.all(names.map((name, at) => add(name, at === 1 ? alias : target)))
    assert.equal(added.filter(({ kind }) => kind === 'added').length, 1)
    for (const each of added.filter(({ kind }) => kind !== 'added')) {
      assert.match(each.kind === 'refused' ? each.reason : '', /is that of server (one|two|three)\.example/)
    }
  })

  test('checks a server: what its BMC says, and what is wrong with its disk', async () => {
    const { servers } = bench.ports
    const server = await bench.addServer()
    const good = {
      identity: { vendor: 'byoi', model: 'file-backed server', firmware: null, serial: null },
      power: 'off',
      bootDevice: 'disk',
      problems: [],
    }
    assert.deepEqual(await servers.check(server.name), good)
    await rm(join(bench.directory, `${server.name}.disk`))
    const without = await servers.check(server.name)
    assert.deepEqual([without?.power, without?.bootDevice], ['off', 'disk'])
    assert.match(without?.problems.join() ?? '', /^The disk file .* is not there\.$/)
    await mkdir(join(bench.directory, 'servers'), { recursive: true })
    await writeFile(server.state, 'no directory')
    const broken = await servers.check(server.name)
    assert.deepEqual([broken?.power, broken?.bootDevice], [null, null])
    assert.match(broken?.problems[0] ?? '', /state of the file-backed server cannot be used/)
    await rm(server.state)
    assert.equal(await servers.check('nobody'), null)
  })

  test('refuses a server whose settings cannot work, in one sentence', async () => {
    const { servers } = bench.ports
    const disk = { serial: 'a', wwn: null, size: 4096 }
    const small = join(bench.directory, 'small.disk')
    await writeFile(small, 'x')
    const cases: [Parameters<typeof servers.add>[0]['bmc'], RegExp][] = [
      [{ kind: 'magic', settings: {}, password: null }, /no BMC of kind magic/],
      [{ kind: 'local', settings: { disk: 'relative' }, password: null }, /absolute path/],
      [{ kind: 'local', settings: { disk: '/x', sectorSize: 513 }, password: null }, /512 or 4096/],
      [{ kind: 'local', settings: { disk: '/x', serial: 'b' }, password: null }, /must be those of the disk/],
      [{ kind: 'local', settings: { disk: small }, password: null }, /has 1 bytes, not 4096/],
    ]
    for (const [bmc, reason] of cases) {
      const diskGroups = [{ diskGroupId: 1, description: '', size: 4096, disks: [disk] }]
      const added = await servers.add(
        { serviceName: 'bad.example', account, boot: 'uefi', diskGroups, bmc, agentBoot: null },
        caller,
      )
      assert.equal(added.kind, 'refused')
      assert.match(added.kind === 'refused' ? added.reason : '', reason)
    }
    assert.equal(await servers.show('bad.example'), null)
    assert.equal((await stat(small)).size, 1)
  })
})
