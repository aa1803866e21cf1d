const TILDE = 0x7e
const CR = 0x0d
const LF = 0x0a

/**
 * Keeps input from being a command to ipmitool, which takes `~.`, `~B` and others at the beginning of a line: there a tilde
 * is doubled, and ipmitool sends one of the two (ipmi_sol.c, processSolUserInput). Nothing is lost.
 */
export class SolEscape {
  #lineStart = true

  /** Input may be cut anywhere. */
  encode(input: Uint8Array): Buffer {
    const output: number[] = []
    for (const byte of input) {
      if (byte === TILDE && this.#lineStart) output.push(TILDE)
      output.push(byte)
      this.#lineStart = byte === CR || byte === LF
    }
    return Buffer.from(output)
  }
}
