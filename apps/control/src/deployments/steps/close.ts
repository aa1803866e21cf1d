import { wiped } from '../deployment-secrets.ts'
import { endCancelled } from '../cancel.ts'
import { type Step } from '../step.ts'
import { databaseTime, transition } from '../transition.ts'

/** P14. The secrets go and the state becomes final, in one transaction. Undo: none. */
export const close: Step = async (step) => {
  const { row } = step
  await step.locked.transaction().execute(async (trx) => {
    // The server first: whoever changes both takes them in this order.
    await trx
      .updateTable('server')
      .set(
        row.kind === 'inspect'
          ? { power_state: row.evidence.powerWas ?? 'on' }
          : { own_image: row.kind === 'deploy', power_state: 'on' },
      )
      .where('id', '=', row.server_id)
      .execute()
    await transition(step, trx, row, {
      state: 'done',
      set: { ...wiped, ended_at: await databaseTime(trx), seconds_left: null, bytes_per_second: 0 },
      look: 'never',
      action: 'deployment.done',
    })
    await endCancelled(step, trx, row)
  })
  return { wait: 0 }
}
