import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PlainTerminalText } from './plain-terminal-text.ts'

const plain = (bytes: Uint8Array, size = bytes.length): string => {
  const text = new PlainTerminalText()
  let out = ''
  for (let at = 0; at < bytes.length; at += size) out += text.push(bytes.subarray(at, at + size))
  return out
}

const cases = [
  {
    what: 'colours and cursor moves',
    from: '\u001b[1;31mred\u001b[0m \u001b[2;5Hthere\u001b[K',
    to: 'red there',
  },
  {
    what: 'a private mode and a two-character sequence',
    from: '\u001b[?2004h\u001b7a\u001b8\u001b=b',
    to: 'ab',
  },
  { what: 'a character set', from: '\u001b(Ba\u001b%Gb', to: 'ab' },
  { what: 'a title, ended by BEL', from: '\u001b]0;own the window\u0007a', to: 'a' },
  { what: 'a clipboard, ended by ST', from: '\u001b]52;c;cm0gLXJm\u001b\\a', to: 'a' },
  { what: 'a device control string', from: '\u001bP$q"p\u001b\\a', to: 'a' },
  { what: 'eight-bit controls', from: '\u009b31ma\u009d0;x\u009cb', to: 'ab' },
  { what: 'control characters', from: 'a\u0000\u0007\u0008\u007f\u0085b\tc', to: 'ab\tc' },
  { what: 'line ends', from: 'a\r\nb\r\r\nc\nd', to: 'a\nb\nc\nd' },
  { what: 'a line that is written anew', from: '10 %\r20 %\r\n', to: '10 %\r20 %\n' },
  { what: 'a sequence within a sequence', from: '\u001b[3\u001b[1ma\u001b]0;x\u001b[1mb', to: 'ab' },
  { what: 'a sequence that a line end breaks off', from: '\u001b]0;never\nnext', to: '\nnext' },
  { what: 'a sequence that was cancelled', from: '\u001b[31\u0018a', to: 'a' },
  { what: 'text in other scripts', from: 'zażółć 中文 🙂', to: 'zażółć 中文 🙂' },
]

for (const { what, from, to } of cases) {
  test(`of ${what} only the text is left, however the bytes are cut`, () => {
    const bytes = Buffer.from(from)
    for (const size of [1, 2, 3, 7, bytes.length]) assert.equal(plain(bytes, size), to)
  })
}

test('bytes that are not UTF-8 are replaced, and never fail', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at)
  assert.match(plain(bytes), /^\t\n\r? !"[\u0023-\u007e]+\ufffd+$/)
  assert.equal(plain(Uint8Array.of(0x61, 0xff, 0x62)), 'a\ufffdb')
})

test('a string that never ends hides no more than 4096 characters', () => {
  const text = plain(Buffer.from(`\u001b]0;${'x'.repeat(5000)}`))
  assert.ok(text.length > 900 && text.length < 1000, String(text.length))
})
