import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { ConfigDrive } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import { lacking, runTool } from '../table/testing/run-tool.ts'
import { buildConfigDrive } from './build-config-drive.ts'

const MiB = 1024 * 1024
let directory = ''
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'byoi-config-'))
})
after(() => {
  rmSync(directory, { recursive: true, force: true })
})

const content = (changes: Partial<ConfigDrive> = {}): ConfigDrive => ({
  instanceId: '4d2fa9a4-3a0c-4b42-9d55-5b3b0f5f1f10',
  hostname: 'server-1.example.org',
  sshKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE user@host "quoted" \\ é',
  userData: Buffer.from('#cloud-config\r\nruncmd: [true]\n'),
  userMetadatas: [{ key: 'role', value: 'web' }],
  phoneHomeUrl: null,
  ...changes,
})

/** Python of the system: the one that Debian's cloud-init belongs to. */
const python = '/usr/bin/python3'

function lacksCloudInit(): string | false {
  try {
    execFileSync(python, ['-c', 'import cloudinit.sources.helpers.openstack'], { stdio: 'ignore' })
    return false
  } catch {
    return 'cloud-init is not installed'
  }
}

const readWithCloudInit = `
import base64, json, sys
from cloudinit.sources.helpers.openstack import ConfigDriveReader
found = ConfigDriveReader(sys.argv[1]).read_v2()
user = found["userdata"]
found["userdata"] = None if user == "" else base64.b64encode(user).decode()
print(json.dumps(found))
`

/** The two volumes, and how to get their files without mounting them. */
const volumes = [
  {
    name: 'ISO 9660',
    sectorSize: 512,
    tools: ['xorriso'],
    type: 'iso9660',
    extract: (image: string, into: string) =>
      runTool('xorriso', ['-osirrox', 'on', '-indev', image, '-extract', '/', into]),
  },
  {
    name: 'FAT',
    sectorSize: 4096,
    tools: ['mcopy'],
    type: 'vfat',
    extract: (image: string, into: string) => {
      mkdirSync(into)
      runTool('mcopy', ['-s', '-n', '-i', image, '::openstack', into])
    },
  },
] as const

const write = (name: string, drive: Uint8Array): string => {
  const path = join(directory, name.replaceAll(' ', '-'))
  writeFileSync(path, drive)
  return path
}

const everyByte = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 31) & 0xff))

for (const { name, sectorSize, tools, type, extract } of volumes) {
  suite(`the config drive as ${name}`, () => {
    const skip = lacking(...tools) || lacksCloudInit()
    const rows: [name: string, drive: ConfigDrive][] = [
      ['all of it', content()],
      ['the least', content({ hostname: null, sshKey: null, userData: null, userMetadatas: [] })],
      ['64 KiB of user data with every byte value', content({ userData: everyByte })],
      ['user data of a gzip magic and NUL', content({ userData: Buffer.from([0x1f, 0x8b, 0, 0, 0xff]) })],
      ['3 MiB of user data', content({ userData: Buffer.alloc(3 * MiB, 'x') })],
      [
        'reserved and odd metadata keys',
        content({
          userMetadatas: ['uuid', 'hostname', 'public_keys', '__proto__', 'a\r\nhostname: x', 'é'].map(
            (key) => ({ key, value: `${key}\n"'` }),
          ),
        }),
      ],
    ]
    for (const [what, drive] of rows) {
      test(`gives cloud-init ${what}.`, { skip }, () => {
        const image = write(`${name} ${what}`, buildConfigDrive(drive, sectorSize))
        const tree = `${image}.tree`
        extract(image, tree)
        const found = JSON.parse(
          execFileSync(python, ['-c', readWithCloudInit, tree], {
            encoding: 'utf8',
            stdio: ['ignore', 'pipe', 'ignore'],
            maxBuffer: 16 * MiB,
          }),
        )
        assert.equal(found.metadata['instance-id'], drive.instanceId)
        assert.equal(found.metadata['local-hostname'], drive.hostname ?? undefined)
        assert.deepEqual(
          found.metadata.public_keys,
          drive.sshKey === null ? undefined : { default: drive.sshKey },
        )
        assert.deepEqual(
          Object.entries(found.metadata.meta),
          drive.userMetadatas.map(({ key, value }) => [key, value]),
        )
        const userData = found.userdata === null ? null : Buffer.from(found.userdata, 'base64')
        assert.deepEqual(userData, drive.userData === null ? null : Buffer.from(drive.userData))
        assert.equal('networkdata' in found, false)
      })
    }

    test('is found by its label and is whole MiB.', { skip: lacking('blkid') }, () => {
      const drive = buildConfigDrive(content(), sectorSize)
      assert.equal(drive.length, MiB)
      const probed = runTool('blkid', ['-p', '-o', 'export', write(`${name} label`, drive)])
      assert.match(probed, /^LABEL=config-2$/m)
      assert.match(probed, new RegExp(`^TYPE=${type}$`, 'm'))
    })

    test('is the same for the same content and another for other content.', () => {
      assert.deepEqual(buildConfigDrive(content(), sectorSize), buildConfigDrive(content(), sectorSize))
      assert.notDeepEqual(
        buildConfigDrive(content(), sectorSize),
        buildConfigDrive(content({ hostname: 'b' }), sectorSize),
      )
    })

    test('takes 64 MiB less its metadata, and no more.', () => {
      const room = 64 * MiB - 1024
      assert.ok(buildConfigDrive(content({ userData: Buffer.alloc(room) }), sectorSize).length <= 65 * MiB)
      assert.throws(
        () => buildConfigDrive(content({ userData: Buffer.alloc(64 * MiB) }), sectorSize),
        (error) => error instanceof ImagingError && error.code === 'CFG',
      )
    })
  })
}

test('fsck.fat finds nothing to say about FAT12 and FAT16.', { skip: lacking('fsck.fat', 'mdir') }, () => {
  for (const [bits, size] of [
    [12, 100],
    [16, 17 * MiB],
  ] as const) {
    const image = write(`fat ${bits}`, buildConfigDrive(content({ userData: Buffer.alloc(size, 1) }), 4096))
    const report = runTool('fsck.fat', ['-n', '-v', image])
    assert.match(report, new RegExp(`2 FATs, ${bits} bit entries`))
    assert.match(report, /5 files, \d+\/\d+ clusters\s*$/)
    assert.doesNotMatch(report, /error|differ|wrong|bad|invalid/i)
    assert.match(runTool('mdir', ['-/', '-b', '-i', image]), /openstack\/latest\/meta_data\.json/)
  }
})

test('isoinfo reads the names with Rock Ridge and without.', { skip: lacking('isoinfo') }, () => {
  const image = write('iso', buildConfigDrive(content(), 512))
  assert.match(runTool('isoinfo', ['-f', '-R', '-i', image]), /^\/openstack\/latest\/meta_data\.json$/m)
  assert.match(runTool('isoinfo', ['-f', '-i', image]), /^\/OPENSTACK\/LATEST\/USER_DATA\.;1$/m)
})

test('A metadata key that is given twice is an error that does not tell the key.', () => {
  const userMetadatas = [
    { key: 'canary', value: '1' },
    { key: 'canary', value: '2' },
  ]
  assert.throws(
    () => buildConfigDrive(content({ userMetadatas }), 512),
    (error) => error instanceof ImagingError && error.code === 'CFG' && !error.cause.includes('canary'),
  )
})
