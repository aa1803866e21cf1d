import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import {
  beginDetached,
  readSigningKey,
  type SigningKey,
  SigningProblem,
  verifyClearText,
  verifyDetached,
} from './index.ts'
import { lacks, Signer } from './signing.fixture.ts'

const content = randomBytes(300_000)
const others = Buffer.concat([content.subarray(1), content.subarray(0, 1)])
const LONG_AGO = ['--faked-system-time', '20200101T000000!']

let signer: Signer
before(async () => {
  signer = await Signer.make()
})
after(() => signer[Symbol.asyncDispose]())

/** Checks as an image is checked: in pieces. */
async function inPieces(signature: Uint8Array, keys: SigningKey[], bytes: Uint8Array): Promise<string> {
  const check = await beginDetached(signature, keys)
  for (let at = 0; at < bytes.length; at += 65_537) check.update(bytes.subarray(at, at + 65_537))
  return check.finish()
}

const ways = [
  ['at hand', verifyDetached],
  ['as a stream', inPieces],
] as const

const problem =
  (says: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof SigningProblem, String(error))
    assert.match(error.cause, says)
    assert.match(error.cause, /^\S.*\.$/)
    assert.match(error.remedy, /^\S.*\.$/)
    return true
  }

describe('minisign', { skip: lacks('minisign') }, () => {
  let text = ''
  let key: SigningKey
  before(async () => {
    text = await signer.newMinisignKey('one')
    await signer.newMinisignKey('other')
    key = await readSigningKey(text)
  })

  test('a public key is read with its comment, without, and by the id that minisign prints', async () => {
    const [comment = '', line = ''] = text.split('\n')
    assert.deepEqual(key.ids, [comment.split(' ').at(-1)?.padStart(16, '0')])
    assert.deepEqual((await readSigningKey(line)).ids, key.ids)
    assert.deepEqual((await readSigningKey(`${line}\n`)).ids, key.ids)
  })

  test('a secret key is refused and not repeated', async () => {
    const secret = await readFile(signer.path('one.sec'), 'utf8')
    for (const spelled of [secret, secret.split('\n')[1] ?? '']) {
      await assert.rejects(readSigningKey(spelled), (error) => {
        assert.ok(error instanceof SigningProblem)
        assert.match(error.cause, /private/)
        assert.ok(!`${error.stack}${error.remedy}`.includes((secret.split('\n')[1] ?? '').slice(0, 20)))
        return true
      })
    }
  })

  for (const [how, verify] of ways) {
    test(`a signature is good over its content only, ${how}`, async () => {
      const signature = await signer.minisign('one', content)
      assert.equal(await verify(signature, [key], content), `minisign key ${key.ids[0]}`)
      await assert.rejects(verify(signature, [key], others), problem(/is not one over these bytes/))
      await assert.rejects(verify(signature, [key], content.subarray(1)), problem(/is not one over/))
    })

    test(`a signature by another key names both, ${how}`, async () => {
      const signature = await signer.minisign('other', content)
      const other = await readSigningKey(await readFile(signer.path('other.pub'), 'utf8'))
      const names = new RegExp(`key ${other.ids[0]}, which is not among .* they are ${key.ids[0]}`)
      await assert.rejects(verify(signature, [key], content), problem(names))
      await assert.rejects(verify(signature, [], content), problem(/none is minisign's/))
      assert.match(await verify(signature, [key, other], content), /^minisign key/)
    })

    test(`each part of the signature counts, ${how}`, async () => {
      const lines = (await signer.minisign('one', content)).toString().split('\n')
      const changed = (line: number, change: (text: string) => string) =>
        Buffer.from(lines.map((each, index) => (index === line ? change(each) : each)).join('\n'))
      const flip = (from: number) => (line: string) => {
        const bytes = Buffer.from(line, 'base64')
        bytes[from] = (bytes[from] ?? 0) ^ 1
        return bytes.toString('base64')
      }
      const cases: [Buffer, RegExp][] = [
        [changed(1, flip(20)), /trusted comment/],
        [changed(1, flip(73)), /trusted comment/],
        [changed(2, (line) => `${line}!`), /trusted comment/],
        [changed(3, flip(5)), /trusted comment/],
        [changed(1, flip(3)), /not among the keys/],
        [changed(1, flip(0)), /is not one/],
        [changed(2, () => ''), /is not one/],
        [changed(3, () => ''), /is not one/],
        [changed(1, (line) => line.slice(4)), /is not one/],
        [Buffer.from(`${lines.join('\n')}more\n`), /is not one/],
        [Buffer.from(lines.slice(0, 2).join('\n')), /is not one/],
      ]
      for (const [signature, says] of cases)
        await assert.rejects(verify(signature, [key], content), problem(says))
      assert.match(
        await verify(
          changed(0, (line) => `${line} unsigned`),
          [key],
          content,
        ),
        /minisign/,
      )
    })
  }

  test('a legacy signature is good at hand, and refused for a stream', async () => {
    const signature = await signer.minisign('one', content, '-l')
    assert.match(await verifyDetached(signature, [key], content), /minisign/)
    await assert.rejects(verifyDetached(signature, [key], others), problem(/is not one over/))
    await assert.rejects(beginDetached(signature, [key]), problem(/over the whole file/))
  })
})

describe('OpenPGP', { skip: lacks('gpg') }, () => {
  let alice = ''
  let key: SigningKey
  before(async () => {
    alice = await signer.newKey('alice')
    key = await readSigningKey(await signer.publicKey(alice))
  })

  const id = () => alice.slice(-16)

  test('public keys are read armored, in base64, and several in one file', async () => {
    const carol = await signer.newKey('carol')
    const armored = await signer.publicKey(alice)
    const binary = await signer.gpg('--export', alice, carol)
    const both = [alice.slice(-16), carol.slice(-16)].toSorted()
    assert.deepEqual(key.ids, [id()])
    for (const text of [binary.toString('base64'), `${armored}\n${await signer.publicKey(carol)}`])
      assert.deepEqual((await readSigningKey(text)).ids.toSorted(), both)
  })

  test('a private key is refused and not repeated, armored and binary', async () => {
    const armored = (await signer.gpg('--armor', '--export-secret-keys', alice)).toString()
    const binary = (await signer.gpg('--export-secret-keys', alice)).toString('base64')
    for (const text of [armored, binary]) {
      await assert.rejects(readSigningKey(text), (error) => {
        assert.ok(error instanceof SigningProblem)
        assert.match(error.cause, /private/)
        assert.ok(!`${error.stack}${error.remedy}`.includes(text.slice(60, 80)))
        return true
      })
    }
  })

  for (const text of ['', 'abc', 'ssh-ed25519 AAAA', 'QUJD', '-----BEGIN PGP PUBLIC KEY BLOCK-----', '\0'])
    test(`${JSON.stringify(text)} is no key`, async () => {
      await assert.rejects(readSigningKey(text), problem(/no public key that can be read/))
    })

  for (const [how, verify] of ways) {
    test(`a signature, armored and binary, is good over its content only, ${how}`, async () => {
      for (const more of [[], ['--armor']]) {
        const signature = await signer.gpgSign(alice, content, ...more)
        assert.equal(await verify(signature, [key], content), `OpenPGP key ${id()}`)
        await assert.rejects(verify(signature, [key], others), problem(/is not one over these bytes/))
        await assert.rejects(verify(signature, [key], new Uint8Array()), problem(/is not one over/))
      }
    })

    for (const kind of ['rsa2048', 'nistp256']) {
      for (const hash of ['SHA256', 'SHA512', 'SHA384']) {
        test(`a signature by ${kind} over ${hash} is good, ${how}`, async () => {
          const name = `${kind}-${hash}-${how.replaceAll(' ', '')}`
          const made = await signer.newKey(name, 'never', kind)
          const signature = await signer.gpgSign(made, content, '--digest-algo', hash)
          const ring = [await readSigningKey(await signer.publicKey(made))]
          assert.match(await verify(signature, ring, content), /^OpenPGP key/)
          await assert.rejects(verify(signature, ring, others), problem(/is not one over/))
        })
      }
    }

    test(`a signature by another key names both, ${how}`, async () => {
      const mallory = await signer.newKey(`mallory-${how.replaceAll(' ', '')}`)
      const signature = await signer.gpgSign(mallory, content)
      const names = new RegExp(`key ${mallory.slice(-16)}, which is not among .* they are ${id()}`)
      await assert.rejects(verify(signature, [key], content), problem(names))
      await assert.rejects(verify(signature, [], content), problem(/none is OpenPGP's/))
    })

    test(`one good signature of two is enough, ${how}`, async () => {
      const bob = await signer.newKey(`bob-${how.replaceAll(' ', '')}`)
      const signature = await signer.gpgSign(bob, content, '--local-user', alice)
      assert.equal(await verify(signature, [key], content), `OpenPGP key ${id()}`)
      await assert.rejects(verify(signature, [key], others), problem(/is not one over/))
    })

    test(`a subkey's signature is good by its primary key, ${how}`, async () => {
      const name = `sub-${how.replaceAll(' ', '')}`
      const primary = await signer.newKey(name)
      await signer.gpg('--quick-add-key', primary, 'ed25519', 'sign', 'never')
      const signature = await signer.gpgSign(primary, content)
      const ring = await readSigningKey(await signer.publicKey(primary))
      const by = await verify(signature, [ring], content)
      assert.equal(ring.ids.length, 2)
      assert.equal(by, `OpenPGP key ${ring.ids.find((each) => each !== primary.slice(-16))}`)
    })

    for (const hash of ['SHA1', 'MD5', 'RIPEMD160']) {
      test(`a signature over ${hash} is refused, ${how}`, async () => {
        const made = await signer.newKey(`weak-${hash}-${how.replaceAll(' ', '')}`, 'never', 'rsa2048')
        const weak = ['--digest-algo', hash, '--allow-weak-digest-algos', '--allow-weak-key-signatures']
        const signature = await signer.gpgSign(made, content, ...weak)
        const ring = [await readSigningKey(await signer.publicKey(made))]
        await assert.rejects(verify(signature, ring, content), problem(/which can be forged/))
      })
    }

    test(`a key that has expired is refused, also for what it signed before, ${how}`, async () => {
      const old = await signer.newKey(`old-${how.replaceAll(' ', '')}`, '1y', 'ed25519', ...LONG_AGO)
      const signature = await signer.gpgSign(old, content, ...LONG_AGO)
      const ring = [await readSigningKey(await signer.publicKey(old))]
      await assert.rejects(verify(signature, ring, content), problem(/which has expired/))
      await signer.gpg('--quick-set-expire', old, '1y')
      const prolonged = [await readSigningKey(await signer.publicKey(old))]
      assert.match(await verify(signature, prolonged, content), /^OpenPGP key/)
    })

    test(`a signature that has expired is refused, ${how}`, async () => {
      const made = await signer.newKey(`short-${how.replaceAll(' ', '')}`, 'never', 'ed25519', ...LONG_AGO)
      const signature = await signer.gpgSign(made, content, ...LONG_AGO, '--default-sig-expire', '1d')
      const ring = [await readSigningKey(await signer.publicKey(made))]
      await assert.rejects(verify(signature, ring, content), problem(/does not hold: .*expired/))
    })

    test(`a revoked key is refused, ${how}`, async () => {
      const lost = await signer.newKey(`lost-${how.replaceAll(' ', '')}`)
      const signature = await signer.gpgSign(lost, content)
      const certificate = await readFile(signer.path(`openpgp-revocs.d/${lost}.rev`), 'utf8')
      await signer.gpg(
        '--import',
        await signer.write('rev', certificate.replace(':-----BEGIN', '-----BEGIN')),
      )
      const ring = [await readSigningKey(await signer.publicKey(lost))]
      await assert.rejects(verify(signature, ring, content), problem(/which has been revoked/))
    })
  }

  test('a signature over text is good at hand with any line ends, and refused for a stream', async () => {
    const signature = await signer.gpgSign(alice, 'one\ntwo\n', '--textmode')
    assert.match(await verifyDetached(signature, [key], Buffer.from('one\ntwo\n')), /OpenPGP/)
    assert.match(await verifyDetached(signature, [key], Buffer.from('one\r\ntwo\r\n')), /OpenPGP/)
    await assert.rejects(beginDetached(signature, [key]), problem(/over text/))
  })

  test('version 6 signatures of the new standard are good as a stream, with their salt', async () => {
    const openpgp = await import('openpgp')
    const config = { v6Keys: true }
    const made = await openpgp.generateKey({
      userIDs: [{ name: 'six' }],
      type: 'curve25519',
      format: 'object',
      config,
    })
    const message = await openpgp.createMessage({ binary: content })
    const signed = { message, signingKeys: made.privateKey, detached: true as const, config }
    const signature = Buffer.from(await openpgp.sign({ ...signed, format: 'armored' }))
    const ring = [await readSigningKey(made.publicKey.armor())]
    for (const [, verify] of ways) {
      assert.match(await verify(signature, ring, content), /^OpenPGP key/)
      await assert.rejects(verify(signature, ring, others), problem(/is not one over/))
    }
  })

  test('of a clear-signed file only what was signed is given', async () => {
    const text = '# list\nabc  image.raw\n- dash\n'
    const signed = await signer.clearSign(alice, text)
    const found = await verifyClearText(`unsigned before\n${signed}unsigned after\n`, [key] as never)
    assert.deepEqual(found, { text: text.trimEnd(), by: `OpenPGP key ${id()}` })
    const changed = signed.replace('abc  image', 'abd  image')
    await assert.rejects(verifyClearText(changed, [key] as never), problem(/is not one over/))
    const weak = await signer.clearSign(alice, text, '--digest-algo', 'SHA1')
    await assert.rejects(verifyClearText(weak, [key] as never), problem(/can be forged/))
    const mallory = await signer.newKey('mallory-clear')
    const other = await signer.clearSign(mallory, text)
    await assert.rejects(verifyClearText(other, [key] as never), problem(/not among the keys/))
  })

  test('a clear-signed file is refused where it is too long', async () => {
    const text = `-----BEGIN PGP SIGNED MESSAGE-----\n${'\n'.repeat(128 * 1024)}`
    await assert.rejects(verifyClearText(text, [key] as never), problem(/more than 131072 bytes/))
  })

  test('what is no signature is said to be none', async () => {
    const clear = Buffer.from(await signer.clearSign(alice, 'text\n'))
    const armored = await signer.gpgSign(alice, content, '--armor')
    const cases: [Uint8Array, RegExp][] = [
      [new Uint8Array(), /neither minisign nor OpenPGP/],
      [Buffer.from('<html>404</html>'), /neither minisign nor OpenPGP/],
      [Buffer.alloc(70_000, 0x88), /longer than/],
      [Buffer.alloc(60, 0x88), /cannot be read/],
      [Buffer.from('-----BEGIN PGP SIGNATURE-----\n\nabc'), /cannot be read/],
      [armored.subarray(0, 100), /cannot be read/],
      [clear, /a signed text instead/],
      [Buffer.from(await signer.publicKey(alice)), /neither/],
      [await signer.gpg('--export', alice), /cannot be read/],
    ]
    for (const [bytes, says] of cases) {
      await assert.rejects(verifyDetached(bytes, [key], content), problem(says))
      await assert.rejects(inPieces(bytes, [key], content), problem(says))
    }
  })
})
