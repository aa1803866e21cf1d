import { createHash } from 'node:crypto'
import { type Answer, type Handler, type Json, member, noContent, ok, Refusal } from './exchange.ts'
import { type BootSetting, type Machine } from './machine.ts'
import * as resources from './resources.ts'
import { type Sessions } from './sessions.ts'

/** What the service is asked, after authentication, answered from the machine's state. */
export function redfishModel(machine: Machine, sessions: Sessions, user: string): Handler {
  const at = resources.paths(machine.identity.uuid)
  const routes = new Map<string, Handler>()
  const get = (path: string, read: () => Json | Promise<Json>) =>
    routes.set(`GET ${path}`, async () => withEtag(await read()))
  const readSystem = async () => resources.system(at, machine, await machine.power())

  get('/redfish', () => ({ v1: `${at.root}/` }))
  get(at.root, () => resources.serviceRoot(at, machine))
  get(at.sessionService, () => resources.sessionService(at))
  get(at.sessions, () =>
    resources.collection(
      at.sessions,
      'SessionCollection',
      'Sessions',
      sessions.ids().map((id) => `${at.sessions}/${id}`),
    ),
  )
  get(at.systems, () => resources.collection(at.systems, 'ComputerSystemCollection', 'Systems', [at.system]))
  get(at.system, readSystem)
  get(at.managers, () => resources.collection(at.managers, 'ManagerCollection', 'Managers', [at.manager]))
  get(at.manager, () => resources.manager(at))

  routes.set(`POST ${at.sessions}`, async ({ body }) => {
    const { UserName, Password } = (body ?? {}) as Json
    const { id, token } = sessions.create(UserName, Password)
    const headers = { 'X-Auth-Token': token, Location: `${at.sessions}/${id}` }
    return { status: 201, headers, body: resources.session(at, id, user) }
  })
  routes.set(`PATCH ${at.system}`, async ({ body, headers }) => {
    checkMatch(headers['if-match'], etagOf(await readSystem()))
    const setting = patchBoot(machine.boot(), member(body, 'Boot'))
    await machine.setBoot(setting)
    return withEtag(await readSystem())
  })
  routes.set(`POST ${at.reset}`, async ({ body }) => await reset(machine, body))
  for (const media of at.media) addMedia(routes, get, media, machine)

  return async (exchange) => {
    const path = exchange.path.replace(/\/$/, '')
    const id = path.startsWith(`${at.sessions}/`) ? path.slice(at.sessions.length + 1) : null
    if (id !== null) return oneSession(exchange.method, id, resources.session(at, id, user), sessions)
    const handler = routes.get(`${exchange.method} ${path}`)
    if (handler !== undefined) return await handler({ ...exchange, path })
    const known = [...routes.keys()].some((route) => route.endsWith(` ${path}`))
    if (known) throw new Refusal(405, 'Base.1.18.OperationNotAllowed', 'The method is not allowed here.')
    throw new Refusal(404, 'Base.1.18.ResourceMissingAtURI', `The resource at the URI ${path} was not found.`)
  }
}

type Get = (path: string, read: () => Json) => void

function addMedia(routes: Map<string, Handler>, get: Get, media: string, machine: Machine): void {
  const cd = `${media}/Cd`
  get(media, () => resources.collection(media, 'VirtualMediaCollection', 'Virtual Media', [cd]))
  get(cd, () => resources.virtualMedia(cd, machine.medium()))
  routes.set(`POST ${cd}/Actions/VirtualMedia.InsertMedia`, async ({ body }) => {
    const { Image } = (body ?? {}) as Json
    if (typeof Image !== 'string' || !/^https?:\/\/\S+$/.test(Image)) {
      throw new Refusal(
        400,
        'Base.1.18.ActionParameterValueFormatError',
        'Image must be an http or https URL.',
      )
    }
    if (machine.medium() !== null) {
      throw new Refusal(409, 'Base.1.18.ResourceInUse', 'A medium is inserted: eject it first.')
    }
    await machine.insert(Image)
    return noContent()
  })
  routes.set(`POST ${cd}/Actions/VirtualMedia.EjectMedia`, async () => {
    await machine.eject()
    return noContent()
  })
}

function oneSession(method: string, id: string, body: Json, sessions: Sessions): Answer {
  if (!sessions.ids().includes(id)) {
    throw new Refusal(404, 'Base.1.18.ResourceMissingAtURI', 'There is no such session.')
  }
  if (method === 'GET') return withEtag(body)
  if (method !== 'DELETE')
    throw new Refusal(405, 'Base.1.18.OperationNotAllowed', 'The method is not allowed here.')
  sessions.delete(id)
  return noContent()
}

async function reset(machine: Machine, body: unknown): Promise<Answer> {
  const { ResetType } = (body ?? {}) as Json
  const action = Object.entries(resources.resetTypes).find(([name]) => name === ResetType)?.[1]
  if (action === undefined) {
    throw new Refusal(
      400,
      'Base.1.18.ActionParameterNotSupported',
      `ResetType ${String(ResetType)} is not supported.`,
    )
  }
  const needsPower = action === 'soft-off' || action === 'reset' || action === 'cycle'
  if (needsPower && (await machine.power()) === 'off') {
    throw new Refusal(409, 'Base.1.18.ResourceInStandby', 'The system is powered off.')
  }
  await machine.act(action)
  return noContent()
}

/** What a PATCH of `Boot` makes of the setting; properties that are not named stay. */
export function patchBoot(before: BootSetting, patch: Json | undefined): BootSetting {
  if (patch === undefined) {
    throw new Refusal(400, 'Base.1.18.PropertyMissing', 'Only Boot can be changed.')
  }
  const setting = { ...before }
  for (const [name, value] of Object.entries(patch)) applyBoot(setting, name, value)
  if (setting.device === null) return { ...setting, once: false, httpUri: null }
  return setting.device === 'uefi-http' ? setting : { ...setting, httpUri: null }
}

function applyBoot(setting: BootSetting, name: string, value: unknown): void {
  const refuse = (): never => {
    throw new Refusal(400, 'Base.1.18.PropertyValueNotInList', `The value of ${name} is not in the list.`)
  }
  switch (name) {
    case 'BootSourceOverrideEnabled':
      if (value === 'Disabled') setting.device = null
      else if (value === 'Once' || value === 'Continuous') setting.once = value === 'Once'
      else refuse()
      return
    case 'BootSourceOverrideTarget': {
      const found = Object.entries(resources.targets).find(([, target]) => target === value)?.[0]
      if (found === undefined && value !== 'None') refuse()
      setting.device = (found ?? null) as BootSetting['device']
      return
    }
    case 'BootSourceOverrideMode':
      if (value !== 'UEFI' && value !== 'Legacy') refuse()
      setting.firmware = value === 'UEFI' ? 'uefi' : 'legacy'
      return
    case 'HttpBootUri':
      if (value !== null && typeof value !== 'string') refuse()
      setting.httpUri = value as string | null
      return
    default:
      throw new Refusal(400, 'Base.1.18.PropertyUnknown', `The property ${name} is not known.`)
  }
}

const etagOf = (resource: Json): string =>
  `"${createHash('sha256').update(JSON.stringify(resource)).digest('hex').slice(0, 16)}"`

function withEtag(resource: Json): Answer {
  const etag = etagOf(resource)
  return ok({ '@odata.etag': etag, ...resource }, { ETag: etag })
}

function checkMatch(wanted: string | undefined, etag: string): void {
  if (wanted === undefined || wanted === '*' || wanted === etag) return
  throw new Refusal(412, 'Base.1.18.PreconditionFailed', 'The ETag does not match the resource.')
}
