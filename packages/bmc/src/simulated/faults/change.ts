import { type Answer, type Exchange, type Json } from '../exchange.ts'
import { type Fault, type Misbehave } from '../fault.ts'

/** Changes what a GET of some paths shows; the service's resources are made anew for each answer. */
export const onGet =
  (isMeant: (path: string) => boolean, edit: (resource: Json) => void): Misbehave =>
  async (exchange, next) => {
    const answer = await next(exchange)
    const path = exchange.path.replace(/\/$/, '')
    if (exchange.method === 'GET' && isMeant(path) && answer.status === 200) edit(answer.body as Json)
    return answer
  }

/** The same, for the system. */
export const onSystem =
  (edit: (system: Json) => void): Fault =>
  ({ paths }) =>
    onGet((path) => path === paths.system, edit)

export const onBoot = (edit: (boot: Json) => void): Fault =>
  onSystem((system) => edit(system['Boot'] as Json))

/** Two misbehaviours at once; the first one sees the request first. */
export const both =
  (first: Fault, second: Fault): Fault =>
  (context) => {
    const [outer, inner] = [first(context), second(context)]
    return (exchange, next) => outer(exchange, (each) => inner(each, next))
  }

export const isPatchOf = ({ method, path }: Exchange, resource: string): boolean =>
  method === 'PATCH' && path === resource

export const isAction = ({ method, path }: Exchange, name: string): boolean =>
  method === 'POST' && path.endsWith(`.${name}`)

/** `Boot` of a request's body. */
export const bootIn = ({ body }: Exchange): Json => ((body as Json | undefined)?.['Boot'] ?? {}) as Json

export const dropped: Answer = { status: 0, headers: {} }
export const never = new AbortController().signal
