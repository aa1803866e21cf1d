import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { keepLinksInside } from './links.ts'

test('links of an unpacked package lead to its own files, never to those of this machine', async () => {
  const root = await mkdtemp(join(tmpdir(), 'byoi-links-'))
  try {
    await mkdir(join(root, 'bin'))
    await mkdir(join(root, 'usr/sbin'), { recursive: true })
    await writeFile(join(root, 'bin/sh'), 'of the package')
    await symlink('/bin/sh', join(root, 'usr/sbin/depmod'))
    await symlink('../../bin/sh', join(root, 'usr/sbin/modprobe'))
    await keepLinksInside(root)
    assert.equal(await readFile(join(root, 'usr/sbin/depmod'), 'utf8'), 'of the package')
    assert.equal(await readlink(join(root, 'usr/sbin/modprobe')), '../../bin/sh')
  } finally {
    await rm(root, { recursive: true })
  }
})
