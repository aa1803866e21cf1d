/** Longest control string that is waited for: what never ends is garbage, and the text after it matters. */
const maxSequence = 4096

/** Where in a control sequence (ECMA-48) the last character stood. */
type Place = 'text' | 'escape' | 'intermediate' | 'csi' | 'string' | 'string-escape'

const escape = '\u001b'
/** After an escape: DCS, OSC, SOS, PM and APC. */
const stringStarts = 'P]X^_'

/**
 * What a terminal's bytes say, without what they would do to a terminal: control sequences (ECMA-48) and control characters are
 * left out, except tab and line ends. Bytes that are not UTF-8 become U+FFFD. Takes pieces, cut anywhere.
 */
export class PlainTerminalText {
  readonly #decoder = new TextDecoder()
  #place: Place = 'text'
  #sequence = 0
  #carriageReturn = false

  /** Line ends come out as `\n`; a `\r` alone, with which a line is written anew, as `\r`. */
  push(bytes: Uint8Array): string {
    let text = ''
    for (const character of this.#decoder.decode(bytes, { stream: true })) text += this.#take(character)
    return text
  }

  #take(character: string): string {
    if (this.#place !== 'text' && !this.#follow(character)) return ''
    if (character === escape) return this.#enter('escape')
    if (character === '\u009b') return this.#enter('csi')
    if ('\u0090\u0098\u009d\u009e\u009f'.includes(character)) return this.#enter('string')
    return this.#print(character)
  }

  /** True when the sequence is over without this character, which then is text. */
  #follow(character: string): boolean {
    this.#sequence += 1
    // A line end or a new escape ends what is not finished: bytes may be missing.
    const broken = character === '\n' || character === '\u0018' || character === '\u001a'
    if (broken || this.#sequence > maxSequence) {
      this.#place = 'text'
      return true
    }
    this.#place = next(this.#place, character)
    return false
  }

  #enter(place: Place): '' {
    this.#place = place
    this.#sequence = 0
    return ''
  }

  #print(character: string): string {
    if (character === '\r') {
      this.#carriageReturn = true
      return ''
    }
    if (character !== '\n' && character !== '\t' && isControl(character)) return ''
    const restart = this.#carriageReturn && character !== '\n' ? '\r' : ''
    this.#carriageReturn = false
    return restart + character
  }
}

function next(place: Place, character: string): Place {
  const code = character.codePointAt(0) ?? 0
  if (character === escape) return place.startsWith('string') ? 'string-escape' : 'escape'
  switch (place) {
    case 'text':
      return 'text'
    case 'escape':
      if (character === '[') return 'csi'
      if (stringStarts.includes(character)) return 'string'
      return code >= 0x20 && code <= 0x2f ? 'intermediate' : 'text'
    case 'intermediate':
      return code >= 0x20 && code <= 0x2f ? 'intermediate' : 'text'
    case 'csi':
      return code >= 0x40 && code <= 0x7e ? 'text' : 'csi'
    case 'string':
      return character === '\u0007' || character === '\u009c' ? 'text' : 'string'
    case 'string-escape':
      // ESC \ ends it; any other sequence does too, and begins.
      return character === '\\' ? 'text' : next('escape', character)
    default:
      return place satisfies never
  }
}

function isControl(character: string): boolean {
  const code = character.codePointAt(0) ?? 0
  return code < 0x20 || (code >= 0x7f && code <= 0x9f)
}
