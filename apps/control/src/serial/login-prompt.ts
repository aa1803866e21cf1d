import { PlainTerminalText } from '@byoi/contract'

/** Longer lines are no prompts. */
const maxLine = 300
/** As getty writes it: `HOST login: `, or without a host name. `Last login: ...` is what login says to somebody who came in. */
const prompt = /^(?!last )(?:(?:[a-z0-9][a-z0-9._-]{0,252}|\(none\)) )?login:$/i

/**
 * Finds getty's login prompt in what a console shows. It is a sign that a system has come up and no proof: whoever writes on the
 * console can write the same.
 */
export class LoginPrompt {
  readonly #plain = new PlainTerminalText()
  #line = ''
  #afterBlankLine = false

  /**
   * Takes bytes in; true when a prompt stands after an empty line, as getty puts it. Then it counts whatever follows: kernel and
   * cloud-init write on after it.
   */
  push(bytes: Uint8Array): boolean {
    let found = false
    for (const character of this.#plain.push(bytes)) {
      if (character === '\n') {
        this.#afterBlankLine = this.#line.trim() === ''
        this.#line = ''
      } else if (character === '\r') this.#line = ''
      else if (this.#line.length < maxLine) this.#line += character
      if (character === ':' && this.#afterBlankLine && prompt.test(this.#line)) found = true
    }
    return found
  }

  /** A prompt is the last thing that was shown. When nothing follows for a while, somebody is being waited for. */
  get standsLast(): boolean {
    return prompt.test(this.#line.trimEnd())
  }
}
