/** One server-sent event (WHATWG HTML, section 9.2). */
export interface ServerSentEvent {
  id: string
  data: string
}

/** Longest event that is taken, in characters: bounds memory against a server that never ends a line. */
const maxEvent = 4 * 1024 * 1024

/** Reads events from a byte stream. Comments (heartbeats) are skipped; an unfinished last event is dropped. */
export async function* readEvents(stream: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  let id = ''
  let data: string[] = []
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > maxEvent) throw new RangeError('The event is too long.')
    for (const line of lines.map((text) => text.replace(/\r$/, ''))) {
      if (line.startsWith('id:')) id = line.slice(3).trimStart()
      if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
      if (line !== '' || data.length === 0) continue
      yield { id, data: data.join('\n') }
      data = []
    }
  }
}
