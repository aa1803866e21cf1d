import {
  type AgentFailure,
  type DeployOrder,
  type DeployResult,
  type DiskFacts,
  type DiskState,
  type ErrorCode,
  errorMessage,
  maskUrl,
} from '@byoi/contract'
import {
  type CheckSumType,
  type DeployOptions,
  type DeployResult as EngineResult,
  type TargetDisk,
  ImagingError,
} from '@byoi/imaging'
import type { AgentServer } from './agent-server.ts'
import type { ControlPlane } from './control-plane-client.ts'
import { diskName, matchDisk } from './match-disk.ts'
import { type Log, sentenceOf } from './log.ts'
import { secretMask } from './mask.ts'
import { progressMarks } from './progress-marks.ts'
import { type Outcome, startReporter } from './reporter.ts'

/** The image engine: `deployImage` of the imaging package, or a stand-in for it in tests of the protocol. */
export type Engine = (options: DeployOptions) => Promise<EngineResult>

const checkSumTypes: readonly string[] = ['md5', 'sha1', 'sha256', 'sha512'] satisfies CheckSumType[]

/**
 * Runs a deploy order and returns when its outcome has been heard. Rejects with `EpochOver` or `ControlPlaneLost` when
 * the agent must stop; by then the engine has stopped, and no outcome is owed to anybody.
 */
export async function runDeploy(
  order: DeployOrder,
  server: AgentServer,
  control: ControlPlane,
  engine: Engine,
  logLine: Log,
  signal: AbortSignal,
): Promise<void> {
  const mask = secretMask(order)
  const stop = new AbortController()
  const stopped = AbortSignal.any([signal, stop.signal])
  const reporter = startReporter(control, stopped, (why) => stop.abort(why))
  const log: Log = (line) => {
    logLine(mask(line))
    reporter.log(mask(line))
  }
  const mark = progressMarks(logLine)
  const targets = [order.disk, ...order.mirrors].map(diskName).join(' and to that with ')
  log(`Deploying ${maskUrl(order.image.url)} to the disk with ${targets}.`)
  let outcome: Outcome
  try {
    const result = await engine({
      ...engineOptions(order, server.disks),
      permit: async () => {
        log('Asking for the permit to publish.')
        await permitOrStop(control, stop, stopped)
      },
      onProgress: (progress) => {
        mark(progress)
        reporter.progress(progress)
      },
      onLog: log,
      signal: stopped,
    })
    log(`Published: ${result.checkSumType} ${result.checkSum}, verified on the disk.`)
    const notes = [...result.notes, ...(await server.afterPublish(order, result.boot))].map(mask)
    for (const note of notes) logLine(note)
    outcome = { kind: 'published', result: reportable(result, notes) }
  } catch (error) {
    stopped.throwIfAborted()
    const failure = failureOf(error, order, mask)
    log(`Failed: ${failure.code}: ${failure.cause} The disk is ${failure.disk}.`)
    outcome = { kind: 'failed', failure }
  }
  // Outside of the try: an outcome that cannot be told is not another outcome.
  await reporter.finish(outcome)
}

/** A refused permit stops everything: the engine's own failure that follows from it is not an outcome. */
async function permitOrStop(
  control: ControlPlane,
  stop: AbortController,
  stopped: AbortSignal,
): Promise<void> {
  stopped.throwIfAborted()
  const { promise: whenStopped, reject } = Promise.withResolvers<never>()
  const onStop = () => reject(stopped.reason)
  stopped.addEventListener('abort', onStop, { once: true })
  try {
    await Promise.race([control.permit(), whenStopped])
  } catch (error) {
    stop.abort(error)
    throw error
  } finally {
    stopped.removeEventListener('abort', onStop)
  }
}

/** Throws ImagingError, the disk untouched, when the order cannot be carried out on this server. */
function engineOptions(order: DeployOrder, disks: DiskFacts[]): DeployOptions {
  const { image, configDrive } = order
  if (image.checkSum !== null && !checkSumTypes.includes(image.checkSum.type))
    throw untouched(
      'SUMTYPE',
      `The checkSumType is ${image.checkSum.type}.`,
      'Use one of md5, sha1, sha256 and sha512.',
    )
  return {
    image: {
      url: image.url,
      type: image.type,
      httpHeader: image.httpHeader,
      checkSum: image.checkSum as DeployOptions['image']['checkSum'],
      sums: image.sums && {
        url: image.sums.url,
        name: image.sums.name,
        keys: image.sums.keys,
        signature: image.sums.signatureUrl === null ? null : { url: image.sums.signatureUrl },
      },
      signature: image.signature,
    },
    disk: targetDisk(order.disk, disks),
    mirrors: order.mirrors.map((mirror) => targetDisk(mirror, disks)),
    boot: order.boot,
    efiBootloaderPath: order.efiBootloaderPath,
    transport: matchDisk(disks, order.disk)?.transport ?? null,
    configDrive:
      configDrive === null
        ? null
        : {
            instanceId: configDrive.instanceId,
            hostname: configDrive.hostname,
            sshKey: configDrive.sshKey,
            userData:
              configDrive.userDataBase64 === null ? null : Buffer.from(configDrive.userDataBase64, 'base64'),
            userMetadatas: configDrive.userMetadatas,
            phoneHomeUrl: configDrive.phoneHomeUrl,
          },
    growLastPartition: order.growLastPartition,
    addressPolicy: order.addressPolicy,
    spoolBytes: order.spoolBytes,
  }
}

function targetDisk(wanted: DeployOrder['disk'], disks: DiskFacts[]): TargetDisk {
  const disk = matchDisk(disks, wanted)
  if (disk === undefined) {
    const facts = (it: DeployOrder['disk']) => `${diskName(it)}, ${it.size} bytes`
    const found = disks.map(facts).join('; ') || 'no disk at all'
    throw untouched(
      'DISK',
      `The server has no single disk with ${facts(wanted)}; it has ${found}.`,
      "Correct the disk in the server's disk group, or replace the disk in the server.",
    )
  }
  if (disk.transport !== 'file') return { path: disk.path }
  return { path: disk.path, size: disk.size, sectorSize: disk.sectorSize }
}

function untouched(code: 'FORMAT' | 'SUMTYPE' | 'DISK', cause: string, remedy: string): ImagingError {
  const error = new ImagingError(code, { cause, remedy })
  error.disk = 'untouched'
  return error
}

/** A failure in the words of the catalogue. What is no ImagingError is a fault of ours: the disk's state is not known. */
function failureOf(error: unknown, order: DeployOrder, mask: (text: string) => string): AgentFailure {
  const text = (value: string) => mask(value).slice(0, 4096)
  const { image } = order
  const failure = (code: ErrorCode, cause: string, remedy: string, disk: DiskState): AgentFailure => {
    const { got, expected, checkSumType } = error instanceof ImagingError ? error : {}
    const message = errorMessage(code, {
      url: maskUrl(image.url),
      imageType: image.type,
      ...(image.checkSum === null ? {} : { checkSumType: image.checkSum.type }),
      ...(checkSumType === undefined ? {} : { checkSumType }),
      ...(got === undefined ? {} : { got }),
      ...(expected === undefined ? {} : { expected }),
    })
    return { code, message: text(message), cause: text(cause), remedy: text(remedy), disk }
  }
  if (error instanceof ImagingError) return failure(error.code, error.cause, error.remedy, error.disk)
  const remedy =
    'Start the deployment again; if it fails the same way, report this text to the makers of byoi.'
  return failure('INTERNAL', `The agent failed: ${sentenceOf(error)}`, remedy, 'unknown')
}

/** What the protocol takes of the engine's result and of all that is to be noted. */
function reportable(result: EngineResult, notes: string[]): DeployResult {
  const { checkSum, checkSumType, bytesServed, virtualSize, written, seconds } = result
  const taken = notes.slice(0, 64).map((note) => note.slice(0, 1024))
  return { checkSum, checkSumType, bytesServed, virtualSize, written, seconds, notes: taken }
}
