/** One state of some work, in bytes. */
export interface ProgressState {
  /** What is going on, in a word or two. */
  label: string
  bytesDone: number
  bytesTotal: number | null
  bytesPerSecond: number
  secondsLeft: number | null
}

/** How often plain lines appear where there is no terminal, in ms. */
const plainEveryMs = 5000
/** How often the line of a terminal is drawn again, in ms. */
const redrawEveryMs = 100

export interface ProgressLine {
  show(state: ProgressState): void
  /** A line of its own that stays. */
  say(line: string): void
  /** Ends the moving line, its last state staying visible. */
  end(): void
}

/** On a terminal one line that moves; elsewhere a plain line at each new label and every few seconds. */
export function progressLine(
  out: NodeJS.WriteStream,
  now: () => number = () => performance.now(),
): ProgressLine {
  return out.isTTY ? movingLine(out, now) : plainLines(out, now)
}

/** For `--json`: standard error stays quiet. */
export const noProgress: ProgressLine = {
  show: () => undefined,
  say: () => undefined,
  end: () => undefined,
}

function movingLine(out: NodeJS.WriteStream, now: () => number): ProgressLine {
  let drawnAt = -Infinity
  let last: ProgressState | null = null
  const draw = (state: ProgressState) => {
    out.write(`\r\x1b[K${progressText(state).slice(0, (out.columns || 80) - 1)}`)
    drawnAt = now()
  }
  const end = () => {
    if (last === null) return
    draw(last)
    out.write('\n')
    last = null
  }
  return {
    show: (state) => {
      if (last !== null && last.label !== state.label) end()
      last = state
      if (now() - drawnAt >= redrawEveryMs) draw(state)
    },
    say: (line) => {
      out.write(`\r\x1b[K${line}\n`)
      if (last !== null) draw(last)
    },
    end,
  }
}

function plainLines(out: NodeJS.WriteStream, now: () => number): ProgressLine {
  let label = ''
  let writtenAt = -Infinity
  return {
    show: (state) => {
      if (state.label === label && now() - writtenAt < plainEveryMs) return
      label = state.label
      writtenAt = now()
      out.write(`${progressText(state)}\n`)
    },
    say: (line) => out.write(`${line}\n`),
    end: () => undefined,
  }
}

/** `write  42.0 %  1.5 of 3.6 GiB  210 MiB/s  10 s left`; what is not known is left out. */
export function progressText(state: ProgressState): string {
  const { label, bytesDone, bytesTotal, bytesPerSecond, secondsLeft } = state
  const percent = bytesTotal === null || bytesTotal === 0 ? null : (bytesDone / bytesTotal) * 100
  return [
    label,
    percent === null ? null : `${percent.toFixed(1)} %`,
    bytesTotal === null
      ? bytesDone > 0
        ? bytesText(bytesDone)
        : null
      : `${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`,
    bytesPerSecond > 0 ? `${bytesText(bytesPerSecond)}/s` : null,
    secondsLeft === null ? null : `${durationText(secondsLeft)} left`,
  ]
    .filter((part) => part !== null)
    .join('  ')
}

/** Three significant digits with a binary unit. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let unit = 0
  let value = bytes
  // 999.5 would round to four digits.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** Whole seconds as `45 s`, `3 min 20 s` or `2 h 5 min`. */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
