import { at, isObject, type Json, listAt, objectAt, textAt, textsAt } from './json.ts'

/** What a BMC says about a request that it did not carry out, or a task that failed (DSP0266, "Error responses"). */
export interface Message {
  /** Last part of the `MessageId`: `SYS518` of `IDRAC.2.8.SYS518`. */
  id: string
  text: string
  /** Names of the properties that it is about. */
  properties: readonly string[]
}

/** `@Message.ExtendedInfo` is a list, or (iDRAC) one object or a string; some services send only `error.code`. */
export function messagesOf(body: Json | null): Message[] {
  const error = objectAt(body, 'error')
  if (error === null) return []
  const info = at(error, '@Message.ExtendedInfo')
  const entries = Array.isArray(info) ? info : [info]
  const messages = entries.map(messageOf).filter((message) => message !== null)
  const summary = messageOf({ MessageId: at(error, 'code'), Message: at(error, 'message') })
  return summary === null ? messages : [...messages, summary]
}

/** Messages of a Task (DSP2046, Task). */
export const taskMessages = (task: Json): Message[] =>
  listAt(task, 'Messages')
    .map(messageOf)
    .filter((message) => message !== null)

function messageOf(entry: unknown): Message | null {
  if (typeof entry === 'string') return { id: '', text: entry, properties: [] }
  if (!isObject(entry)) return null
  const id = textAt(entry, 'MessageId')?.split('.').at(-1) ?? ''
  const text = textAt(entry, 'Message') ?? ''
  const named = [...textsAt(entry, 'RelatedProperties'), ...textsAt(entry, 'MessageArgs')]
  if (id === '' && text === '') return null
  return { id, text, properties: named.map((name) => name.replace(/^#?\//, '').split('/').at(-1) ?? '') }
}

/** Whether a message is about the property. Many name it in their text only. */
export const mentions = (messages: readonly Message[], property: string): boolean =>
  messages.some(({ properties, text }) => properties.includes(property) || text.includes(property))
