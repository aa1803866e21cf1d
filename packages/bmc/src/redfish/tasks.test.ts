import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Json } from '../simulated/exchange.ts'
import { recorded, recordedBmc } from '../testing/recorded-bmc.ts'
import { answerOf } from './answer.ts'
import { Budget } from './budget.ts'
import { Client } from './client.ts'
import { Task } from './tasks.ts'

const { signal } = new AbortController()
const root = () => recorded('bmclib-generic/serviceroot.json')

/** Recorded tasks, and what is made of them when they are looked at. */
const tasks = [
  { file: 'bmclib-generic/tasks_1_completed.json', is: 'done' },
  { file: 'bmclib-generic/tasks_1_pending.json', is: 'running' },
  { file: 'bmclib-generic/tasks_1_running.json', is: 'running' },
  { file: 'bmclib-generic/tasks_1_scheduled.json', is: 'running' },
  { file: 'bmclib-generic/tasks_1_starting.json', is: 'running' },
  { file: 'bmclib-generic/tasks_1_unknown.json', is: 'running' },
  { file: 'bmclib-generic/tasks_1_failed.json', is: /did not do it \(task Failed/ },
  { file: 'sushy/task.json', is: 'done' },
  { file: 'sushy/task2.json', is: 'running' },
]

for (const { file, is } of tasks) {
  test(`the recorded task ${file} is ${String(is)}`, async (t) => {
    const task = recorded(file)
    const { client, budget } = await clientFor(t, [task])
    const answer = answerOf({ status: 202, headers: { location: String(task['@odata.id']) }, text: '' })
    const found = Task.of(answer, client, budget)
    assert.ok(found)
    assert.equal(await found.check('did not do it', budget), 'running', 'it is not looked at before its time')
    await budget.pause(1000)
    if (typeof is === 'string') assert.equal(await found.check('did not do it', budget), is)
    else await assert.rejects(found.check('did not do it', budget), is)
  })
}

/** Where the task of a 202 is looked for (DSP0266, "Asynchronous operations"). */
const places: readonly {
  what: string
  headers: Record<string, string>
  body: Json | null
  found: boolean
}[] = [
  { what: 'Location', headers: { location: '/redfish/v1/TaskService/Tasks/1' }, body: null, found: true },
  {
    what: 'its monitor, one level below it',
    headers: { location: '/redfish/v1/TaskService/Tasks/1/Monitor' },
    body: null,
    found: true,
  },
  {
    what: 'a body that is the task, before a monitor',
    headers: { location: '/redfish/v1/TaskService/TaskMonitors/oem' },
    body: { '@odata.id': '/redfish/v1/TaskService/Tasks/1', TaskState: 'Running' },
    found: true,
  },
  {
    what: 'a body that names it',
    headers: {},
    body: { '@odata.id': '/redfish/v1/TaskService/Tasks/1' },
    found: true,
  },
  { what: 'nothing', headers: {}, body: null, found: false },
]

for (const { what, headers, body, found } of places) {
  test(`a task is ${found ? 'found' : 'not looked for'} by ${what}`, async (t) => {
    const { client, budget } = await clientFor(t, [recorded('bmclib-generic/tasks_1_completed.json')])
    const text = body === null ? '' : JSON.stringify(body)
    const task = Task.of(answerOf({ status: 202, headers, text }), client, budget)
    assert.equal(task !== null, found)
    await budget.pause(1000)
    if (task !== null) assert.equal(await task.check('did not do it', budget), 'done')
  })
}

test('a task that is not there at first is waited for, and one that is gone after it was seen is done (Dell)', async (t) => {
  const task = recorded('bmclib-generic/tasks_1_running.json')
  const path = String(task['@odata.id'])
  const { client, budget, hide } = await clientFor(t, [task])
  const found = Task.of(answerOf({ status: 202, headers: { location: path }, text: '' }), client, budget)
  assert.ok(found)
  const look = async () => {
    await budget.pause(10_000)
    return await found.check('did not do it', budget)
  }
  hide(path, true)
  assert.deepEqual([await look(), await look()], ['running', 'running'])
  hide(path, false)
  assert.equal(await look(), 'running')
  hide(path, true)
  assert.equal(await look(), 'done')
})

async function clientFor(t: Parameters<typeof recordedBmc>[0], resources: readonly Json[]) {
  const { options, hide } = await recordedBmc(t, [root(), ...resources])
  const { address, spki, user, password, clock } = options
  assert.ok(clock)
  const client = new Client({ origin: new URL(address), spki }, { user, password })
  t.after(() => client.logout(clock))
  return { client, budget: new Budget(clock, 60_000, signal), hide }
}
