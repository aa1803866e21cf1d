import { BmcError, type BootDevice } from '../bmc.ts'
import {
  allowedOf,
  bootOf,
  type BootView,
  copiesOf,
  isActive,
  noOverride,
  type Override,
  overrideOf,
  viewBoot,
} from './boot-view.ts'
import { type Body, writeBoot } from './boot-write.ts'
import { oemBoot } from './oem-boot.ts'
import { type KnownServer, readSystem } from './server.ts'

/** What the next start shall boot. `targets`: names that mean it, best first; empty: the firmware's own order. */
export interface Wish {
  what: string
  device: BootDevice | null
  targets: readonly string[]
  httpUri: string | null
}

export const wishFor = (device: BootDevice | null, cdTargets: readonly string[]): Wish => {
  const targets = { network: ['Pxe'], disk: ['Hdd'], cd: cdTargets }
  return {
    what: device ?? 'its own order',
    device,
    targets: device === null ? [] : targets[device],
    httpUri: null,
  }
}

export const httpWish = (url: string): Wish => ({
  what: 'an HTTP address',
  device: 'network',
  targets: ['UefiHttp'],
  httpUri: url,
})

const firstReadBackMs = 20_000
const readBackMs = 40_000
const readBackPollMs = 2000
const mode = 'BootSourceOverrideMode'

/**
 * Sets the override for one start, and reads it back. Throws `BmcError`: `not-done` when what reads back is something else,
 * `refused` with an unknown outcome when the BMC took the device and keeps another mode or none at all.
 */
export async function setBoot(server: KnownServer, wish: Wish): Promise<void> {
  const { oemBoot: own } = server.quirks
  if (own?.when === 'cd' && wish.device === 'cd') return await oemBoot(server, own.way, wish.device)
  try {
    await setStandardBoot(server, wish)
  } catch (error) {
    const refused = error instanceof BmcError && (error.fault === 'refused' || error.fault === 'not-done')
    if (!refused || own?.when !== 'refused' || wish.device === null || wish.httpUri !== null) throw error
    await oemBoot(server, own.way, wish.device)
  }
}

async function setStandardBoot(server: KnownServer, wish: Wish): Promise<void> {
  const view = await viewBoot(server, server.resource)
  if (copiesOf(view).length === 0) throw noOverride()
  const body = bodyFor(server, view, wish)
  const lost = await writeBoot(server, view, body)
  const shown = await readBack(server, body, firstReadBackMs)
  if (shown === null) return
  // A mode that was not sent falls back to Legacy on some: now that it differs, it is sent.
  const again = tookDevice(copiesOf(shown), body) ? await writeBoot(server, shown, body) : lost
  const left = await readBack(server, body, readBackMs)
  if (left !== null) throw again ?? differs(server, copiesOf(left), body)
}

function bodyFor(server: KnownServer, view: BootView, wish: Wish): Body {
  const target = wish.targets.length === 0 ? 'None' : targetOf(server, view, wish)
  const now = [view.system, view.settings].map((each) => overrideOf(bootOf(each)))
  const hasUri = now.some(({ httpUri }) => httpUri !== null)
  const enabled = allowedOf(view, 'BootSourceOverrideEnabled')
  const once = enabled.length === 0 || enabled.includes('Once') ? 'Once' : 'Continuous'
  return {
    BootSourceOverrideTarget: target,
    BootSourceOverrideEnabled: target === 'None' ? 'Disabled' : once,
    [mode]: server.firmware === 'uefi' ? 'UEFI' : 'Legacy',
    ...(wish.httpUri !== null || hasUri ? { HttpBootUri: wish.httpUri } : {}),
  }
}

function targetOf({ client }: KnownServer, view: BootView, { targets, what }: Wish): string {
  const allowed = allowedOf(view, 'BootSourceOverrideTarget')
  const target = targets.find((each) => allowed.length === 0 || allowed.includes(each))
  if (target !== undefined) return target
  throw new BmcError(`The BMC cannot boot from ${what}; it offers ${client.clean(allowed.join(', '))}.`, {
    fault: 'refused',
    outcome: 'refused',
    remedy: 'Let the server boot the agent another way, or update the firmware of its BMC.',
  })
}

/** null: it reads as it was written. Else what it reads as in the end. */
async function readBack(server: KnownServer, body: Body, ms: number): Promise<BootView | null> {
  const pause = server.budget.within(ms).pacer(readBackPollMs)
  for (;;) {
    const view = await viewBoot(server, await readSystem(server))
    if (isWished(copiesOf(view), body)) return null
    if (!(await pause())) return view
  }
}

function isWished(copies: readonly Override[], body: Body): boolean {
  const isNone = body['BootSourceOverrideTarget'] === 'None'
  return isNone ? !copies.some(isActive) : copies.some((copy) => boots(copy, body))
}

function boots(copy: Override, body: Body): boolean {
  const { BootSourceOverrideTarget: target, HttpBootUri: uri = null } = body
  const hasMode = copy.mode === null || copy.mode === body[mode]
  const hasUri = uri === null || copy.httpUri === null || copy.httpUri === uri
  // Continuous for Once: sushy-tools knows nothing else; it holds for the next start, and byoi sets another one after it.
  return isActive(copy) && copy.target === target && hasMode && hasUri
}

function differs({ client, firmware }: KnownServer, copies: readonly Override[], body: Body): BmcError {
  const written = [body['BootSourceOverrideTarget'], body['BootSourceOverrideEnabled'], body[mode]].join(', ')
  const shown = copies.map(({ target, enabled, mode }) => [target, enabled, mode].join(', ')).join('; ')
  const took = tookDevice(copies, body)
  const modeDiffers = took?.mode !== undefined && took.mode !== null && took.mode !== body[mode]
  return new BmcError(`The BMC was told to boot ${written}, and shows ${client.clean(shown)}.`, {
    fault: took === undefined ? 'not-done' : 'refused',
    outcome: 'unknown',
    remedy: modeDiffers
      ? `Set the boot mode of the server's BIOS to ${firmware === 'uefi' ? 'UEFI' : 'legacy'}, or correct it in its record.`
      : 'Restart the BMC or update its firmware.',
  })
}

/** The copy that has the device, whatever its mode. */
const tookDevice = (
  copies: readonly Override[],
  { BootSourceOverrideTarget: target }: Body,
): Override | undefined => copies.find((copy) => copy.target === target && target !== 'None')
