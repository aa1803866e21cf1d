import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoginPrompt } from './login-prompt.ts'

const boot = '[    1.234567] systemd[1]: Started getty.\r\n'

const prompts = [
  ['Debian', 'Debian GNU/Linux 12 node-1 ttyS0\r\n\r\nnode-1 login: '],
  ['Ubuntu', '\r\nUbuntu 24.04.1 LTS node-1 ttyS0\r\n\r\nnode-1 login: '],
  [
    'AlmaLinux',
    '\r\nAlmaLinux 9.4 (Seafoam Ocelot)\r\nKernel 5.14.0 on an x86_64\r\n\r\nnode-1.example.test login: ',
  ],
  [
    'Alpine',
    '\r\r\nWelcome to Alpine Linux 3.20\r\r\nKernel 6.6 on an x86_64 (/dev/ttyS0)\r\r\n\r\r\nlocalhost login: ',
  ],
  ['FreeBSD', '\r\nFreeBSD/amd64 (node-1) (ttyu0)\r\n\r\nlogin: '],
  ['a name that is not known yet', '\r\n(none) login: '],
  ['colours', '\u001b[2J\u001b[H\r\n\r\n\u001b[1mnode-1 login: \u001b[0m'],
  ['what is written after it', '\r\n\r\nnode-1 login: [   25.1] cloud-init[512]: running modules:final\r\n'],
] as const

for (const [what, text] of prompts) {
  test(`getty's prompt is found, with ${what}, however its bytes are cut`, () => {
    for (const size of [1, 3, 1000]) {
      const prompt = new LoginPrompt()
      const bytes = Buffer.from(boot + text)
      let found = false
      for (let at = 0; at < bytes.length; at += size) {
        found = prompt.push(bytes.subarray(at, at + size)) || found
      }
      assert.ok(found, `in pieces of ${size}`)
    }
  })
}

const others = [
  ['a login that was long ago', '\r\nLast login: Mon Jan  5 10:00:00 UTC 2026 on ttyS0\r\n'],
  ['a login that was long ago, cut where it hurts', '\r\nLast login:'],
  ['a line that goes on about it', '\r\n\r\nsshd[1]: node-1 login: accepted\r\n'],
  ['a prompt within a line', '\r\n\r\nuse node-1 login: now'],
  ['a word of it', '\r\n\r\nnode-1 login'],
  ['a host name that is none', '\r\n\r\n$(reboot) login: '],
  ['an endless line', `\r\n\r\n${'x'.repeat(100_000)} login: `],
] as const

for (const [what, text] of others) {
  test(`${what} is no prompt`, () => {
    const prompt = new LoginPrompt()
    assert.equal(prompt.push(Buffer.from(boot + text)), false)
    assert.equal(prompt.standsLast, false)
  })
}

test('a prompt that stands after other text counts when nothing follows it', () => {
  const prompt = new LoginPrompt()
  assert.equal(prompt.push(Buffer.from(`${boot}node-1 login: `)), false)
  assert.equal(prompt.standsLast, true)
  prompt.push(Buffer.from('somebody\r\nPassword: '))
  assert.equal(prompt.standsLast, false)
})
