import { createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { bootWord, hashOfWord } from '../boot-word.ts'
import { sealBootSecret } from '../deployment-secrets.ts'
import { type Step } from '../step.ts'
import { transition } from '../transition.ts'
import { Fenced } from '../workflow-context.ts'

const secretBytes = 32

/**
 * P1. Mints the server's next epoch, which revokes every agent before it, and the one-time boot secret with which the agent of
 * this epoch joins. The database keeps the secret's hash, and the secret itself sealed until the agent has joined.
 * Evidence: the row's epoch. Undo: none; an epoch is never given back.
 */
export const claimServer: Step = async (step) => {
  const { row, settings } = step
  await step.locked.transaction().execute(async (trx) => {
    const server = await trx
      .updateTable('server')
      .set({ epoch: sql`epoch + 1` })
      .where('id', '=', row.server_id)
      // Epoch 0 is a deployment that has had none; any other must still own the server.
      .$if(row.epoch > 0, (update) => update.where('epoch', '=', row.epoch))
      .returning('epoch')
      .executeTakeFirst()
    if (server === undefined) throw new Fenced()
    const secret = randomBytes(secretBytes).toString('base64url')
    await trx
      .insertInto('boot_secret')
      .values({
        server_id: row.server_id,
        epoch: server.epoch,
        deployment_id: row.id,
        hash: createHash('sha256').update(secret).digest('hex'),
        token_hash: hashOfWord(bootWord(secret)),
        secret: sealBootSecret(step, row, server.epoch, secret),
        expires_at: sql`clock_timestamp() + ${settings.bootSecretMs} * interval '1 millisecond'`,
      })
      .execute()
    await trx
      .updateTable('boot_secret')
      .set({ secret: null })
      .where('server_id', '=', row.server_id)
      .where('epoch', '<', server.epoch)
      .where('secret', 'is not', null)
      .execute()
    await transition(step, trx, row, {
      phase: 'preflight-bmc',
      epoch: server.epoch,
      set: {
        attempts: JSON.stringify({ ...row.attempts, epochs: row.attempts.epochs + 1 }),
        bytes_done: 0,
        bytes_total: null,
        bytes_per_second: 0,
        seconds_left: null,
        progressed: false,
        agent_seen_at: null,
      },
      look: 'now',
      action: 'deployment.claim',
    })
  })
  // The row has moved on in the transaction above; the look reads it again.
  return { wait: 0 }
}
