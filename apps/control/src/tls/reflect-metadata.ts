/**
 * The three functions of the metadata proposal that tsyringe, which @peculiar/x509 stands on, calls at import. Must be imported
 * before it. The reflect-metadata package would bring the whole proposal for the same effect.
 */
const metadata = new WeakMap<object, Map<unknown, unknown>>()

const read = (key: unknown, target: object): unknown => metadata.get(target)?.get(key)

Object.assign(Reflect, {
  getMetadata: read,
  getOwnMetadata: read,
  defineMetadata: (key: unknown, value: unknown, target: object): void => {
    const known = metadata.get(target) ?? new Map<unknown, unknown>()
    metadata.set(target, known.set(key, value))
  },
})
