import { type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { BadParameter, badField, notDescribed, shownName } from './bad-parameter.ts'

/**
 * Returns the value as the schema's type, or throws `BadParameter` that names the first field at fault and never its
 * value. Nothing is converted. `call` as in `POST/bringYourOwnImage`.
 */
export function checkShape<T extends TSchema>(schema: T, value: unknown, call: string): Static<T> {
  if (Value.Check(schema, value)) return value
  const errors = Value.Errors(schema, value)
  const extra = errors
    .filter((error) => error.keyword === 'boolean')
    .map((error) => dotted(error.instancePath))
  if (extra.length > 0) throw notDescribed(extra, call)
  const first = errors[0]
  const path = dotted(first?.instancePath ?? '')
  if (first?.keyword === 'required') {
    throw missing(first.params.requiredProperties.map((name) => (path === '' ? name : `${path}.${name}`)))
  }
  if (path === '') throw notAnObject()
  // A nullable field fails twice, by its type and by `null`; the first tells what to send.
  throw badField(path, (first?.message ?? 'be valid').replace(/^must /, ''))
}

const missing = (fields: string[]): BadParameter =>
  new BadParameter(`Missing mandatory body parameter: ${fields.join(', ')}`, {
    field: fields[0] ?? '',
    reason: `The request has no ${fields.join(', ')}.`,
    remedy: `Send ${fields.join(', ')}.`,
  })

const notAnObject = (): BadParameter =>
  new BadParameter('The body must be a JSON object', {
    field: '',
    reason: 'The body is valid JSON but no object.',
    remedy: 'Send one JSON object with the parameters as its members.',
  })

/** `/configdrive/userMetadatas/0/key` to `configdrive.userMetadatas.0.key`, each name only where it can be shown. */
const dotted = (pointer: string): string =>
  pointer
    .split('/')
    .slice(1)
    .map((name) => shownName(name))
    .join('.')
