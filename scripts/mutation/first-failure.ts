/** A reporter of node:test that reports nothing and ends the process at the first test that fails. */
import type { TestEvent } from 'node:test/reporters'

// oxlint-disable-next-line require-yield
export default async function* firstFailure(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type === 'test:fail' && !isTodo(data)) process.exit(1)
  }
}

const isTodo = (data: object): boolean => 'todo' in data && data.todo !== undefined && data.todo !== false
