import { phaseNumber } from '@byoi/contract'
import { endCancelled } from '../cancel.ts'
import { wiped } from '../deployment-secrets.ts'
import { putBack } from '../put-back.ts'
import { command, type Step } from '../step.ts'
import { databaseTime, transition } from '../transition.ts'

/**
 * The end of a deployment that failed: the server is turned off, its boot device stays the agent's, so that an unverified disk
 * is never booted, and the boot medium is destroyed. A server whose power was never touched keeps running what it runs, and
 * one that may be starting its verified disk is left alone.
 */
export const stopServer: Step = async (step) => {
  const { row, bmc, carrier } = step
  if (row.evidence.powerTouched !== true) {
    await putBack(step)
  } else {
    if (phaseNumber(row.phase) < phaseNumber('reset')) {
      await command(step, 'set-power-off', (signal) => bmc.setPower('off', signal))
      await step.locked
        .updateTable('server')
        .set({ power_state: 'off' })
        .where('id', '=', row.server_id)
        .execute()
    }
    await command(step, 'eject-medium', (signal) => carrier.withdraw(signal))
  }
  await endInError(step)
  return { wait: 0 }
}

/** Stores the failure as the deployment's end. `note` tells what could not be done. */
export async function endInError(step: Parameters<Step>[0], note?: string): Promise<void> {
  const { row } = step
  await step.locked.transaction().execute(async (trx) => {
    // The server first: whoever changes both takes them in this order.
    if (row.kind !== 'inspect') {
      await trx.updateTable('server').set({ own_image: false }).where('id', '=', row.server_id).execute()
    }
    await transition(step, trx, row, {
      state: 'error',
      set: {
        ...wiped,
        ended_at: await databaseTime(trx),
        seconds_left: null,
        bytes_per_second: 0,
        ...(note === undefined ? {} : { notes: JSON.stringify([...row.notes, note]) }),
      },
      look: 'never',
      action: 'deployment.error',
      detail: note === undefined ? {} : { note },
    })
    await endCancelled(step, trx, row)
  })
}
