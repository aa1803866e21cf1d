import { type Answer } from './answer.ts'
import { isLost, kindOf, refusal } from './errors.ts'
import { type KnownServer } from './server.ts'
import { readSlot, type Slot } from './slots.ts'
import { finish, Task } from './tasks.ts'

const taskMs = 60_000
const tries = 3
const againMs = 3000

/** Asks for it; what the slot shows afterwards may lag behind. Throws `BmcError` where it is refused and the slot is not free. */
export async function ejectFrom(server: KnownServer, slot: Slot): Promise<void> {
  const { client, budget } = server
  for (let broken = 0; ; ) {
    let answer: Answer
    try {
      answer = await askToEject(server, slot)
    } catch (error) {
      if (isLost(error) && (await readSlot(server, slot)).free) return
      throw error
    }
    if (answer.ok) {
      await finish(Task.of(answer, client, budget), 'did not eject the medium', budget.within(taskMs))
      return
    }
    // Ejecting what is empty is an error on many.
    if ((await readSlot(server, slot)).free) return
    const again = kindOf(answer) === 'broken' || kindOf(answer) === 'busy'
    if (!again || ++broken === tries || !(await budget.pause(againMs))) {
      throw refusal('refused to eject the medium', answer, client.clean)
    }
  }
}

const askToEject = ({ client, budget }: KnownServer, slot: Slot): Promise<Answer> =>
  slot.eject === null
    ? client.patch(slot.path, { Image: null, Inserted: false }, budget)
    : client.post(slot.eject, {}, budget, { once: true })
