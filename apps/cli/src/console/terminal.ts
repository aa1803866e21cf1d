import type { Context } from '../context.ts'

/** Ctrl-], as telnet and virsh have it: no shell or boot loader needs it. */
const leave = 0x1d

/**
 * What the console's bytes may have done to the terminal is taken back: soft reset (DECSTR), normal screen, no mouse reports, no
 * bracketed paste, visible cursor, no colours.
 */
const restoration = '\u001b[!p\u001b[?1049l\u001b[?1000;1002;1003;1006l\u001b[?2004l\u001b[?25h\u001b[0m\r\n'

/** A terminal on both ends: keys go to the console as they are, until Ctrl-]. */
export class RawTerminal {
  readonly #context: Context
  readonly #onKeys: (data: Buffer) => void

  /** `type` gets the keys, `left` is called at Ctrl-]. To be closed, whatever happens. */
  constructor(context: Context, type: (keys: Uint8Array) => void, left: () => void) {
    this.#context = context
    this.#onKeys = (data) => {
      const end = data.indexOf(leave)
      if (end !== 0) type(end < 0 ? data : data.subarray(0, end))
      if (end >= 0) left()
    }
    const { stdin } = context
    stdin.setRawMode(true)
    stdin.on('data', this.#onKeys)
    stdin.resume()
  }

  close(): void {
    const { stdin, stdout } = this.#context
    stdin.off('data', this.#onKeys)
    stdin.setRawMode(false)
    stdin.pause()
    stdout.write(restoration)
  }
}
