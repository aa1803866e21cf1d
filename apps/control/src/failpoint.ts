import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs'

let armed: { name: string; marker: string } | null = null

/**
 * For tests of crashes: arms one point, written `before:STEP:EFFECT@MARKER` or `after:...`. The process kills itself there,
 * once: the marker file says that it has happened. Only `main` arms, from BYOI_FAILPOINT. Throws when the text is wrong.
 */
export function armFailpoint(text: string): void {
  const [, name, marker] = /^((?:before|after):[a-z-]+:[a-z-]+)@(\/.+)$/.exec(text) ?? []
  if (name === undefined || marker === undefined) throw new Error(`BYOI_FAILPOINT is wrong: ${text}`)
  armed = { name, marker }
}

/** Named by the step and what it does to the world, e.g. `before:power-on:set-power-on`. Does nothing unless armed. */
export function failpoint(name: string): void {
  if (armed?.name !== name || existsSync(armed.marker)) return
  const marker = openSync(armed.marker, 'wx')
  fsyncSync(marker)
  closeSync(marker)
  process.kill(process.pid, 'SIGKILL')
}
