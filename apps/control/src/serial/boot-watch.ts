import { type Db } from '../store/database.ts'
import { storeBooted } from './boot-evidence.ts'
import { LoginPrompt } from './login-prompt.ts'
import { type Recorded } from './record-output.ts'

/** What is read again of what was stored before this began to watch, such as by another replica. In bytes. */
const readAgain = 4096

/** Watches what one console shows for the login prompt of a deployed system, and stores that it was seen. */
export class BootWatch {
  readonly #db: Db
  #prompt: LoginPrompt | null = null
  #recorded: Recorded | null = null
  /** The recording that is no longer watched: its prompt was seen. */
  #seenIn: number | null = null

  constructor(db: Db) {
    this.#db = db
  }

  /** Takes in what was just stored. */
  async heard(recorded: Recorded, data: Uint8Array): Promise<void> {
    const { kind, resetAt, booted, recordingId } = recorded
    if (kind !== 'deploy' || resetAt === null || booted || this.#seenIn === recordingId) {
      this.#prompt = null
      return
    }
    let found = false
    if (this.#prompt === null || this.#recorded?.recordingId !== recordingId) {
      this.#prompt = new LoginPrompt()
      for (const earlier of await this.#earlier(recorded)) found = this.#prompt.push(earlier) || found
    }
    this.#recorded = recorded
    found = this.#prompt.push(data) || found
    if (found) await this.#store(recorded)
  }

  /** Nothing was shown for a while. */
  async quiet(): Promise<void> {
    if (this.#prompt?.standsLast && this.#recorded !== null) await this.#store(this.#recorded)
  }

  async #earlier({ recordingId, resetAt, position }: Recorded): Promise<Uint8Array[]> {
    const rows = await this.#db
      .selectFrom('serial_output')
      .select(['data'])
      .where('recording_id', '=', recordingId)
      .where('position', '>=', Math.max(resetAt ?? 0, position - readAgain))
      .where('position', '<', position)
      .orderBy('position')
      .execute()
    return rows.map((row) => row.data)
  }

  async #store({ deploymentId, recordingId }: Recorded): Promise<void> {
    this.#prompt = null
    this.#seenIn = recordingId
    if (deploymentId === null) return
    await this.#db.transaction().execute(async (trx) => await storeBooted(trx, deploymentId, 'login-prompt'))
  }
}
