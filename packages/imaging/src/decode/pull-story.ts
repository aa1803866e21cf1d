import type { Want } from './stream-parser.ts'

/** Tells a story by reading what it wants at will, instead of from a stream; what is to pass is not read. */
export async function pullStory<T>(
  story: Generator<Want, T, Uint8Array>,
  read: (from: number, length: number) => Promise<Uint8Array>,
): Promise<T> {
  let answer: Uint8Array = new Uint8Array(0)
  for (;;) {
    const { value, done } = story.next(answer)
    if (done === true) return value
    answer = 'until' in value ? new Uint8Array(0) : await read(value.from, value.length)
  }
}
