import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, answerOf } from './answer.ts'
import { patchWithEtag } from './patch.ts'

const says = (status: number, id?: string): Answer => {
  const text =
    id === undefined ? '' : JSON.stringify({ error: { '@Message.ExtendedInfo': [{ MessageId: id }] } })
  return answerOf({ status, headers: {}, text })
}

/** What is written, in order, to a resource with these ETags when it is read, until `takes` says yes. */
const ladders: readonly {
  bmc: string
  reads: readonly (string | null)[]
  takes: (ifMatch: string | null) => boolean
  refusal?: Answer
  writes: readonly (string | null)[]
  ends: number
}[] = [
  { bmc: 'an ETag that fits', reads: ['"a"'], takes: (etag) => etag === '"a"', writes: ['"a"'], ends: 204 },
  { bmc: 'no ETags', reads: [null], takes: (etag) => etag === null, writes: [null], ends: 204 },
  {
    bmc: 'Lenovo XCC, one that has changed meanwhile (FuturFusion/operations-center #1040)',
    reads: ['"a"', '"b"'],
    takes: (etag) => etag === '"b"',
    writes: ['"a"', '"b"'],
    ends: 204,
  },
  {
    bmc: 'a weak one that is known as strong (sushy connector.py)',
    reads: ['W/"a"', 'W/"a"'],
    takes: (etag) => etag === '"a"',
    writes: ['W/"a"', 'W/"a"', '"a"'],
    ends: 204,
  },
  {
    bmc: 'one that takes none (sushy connector.py)',
    reads: ['"a"', '"a"'],
    takes: (etag) => etag === null,
    writes: ['"a"', '"a"', null],
    ends: 204,
  },
  {
    bmc: 'Huawei, one that is demanded and not shown (ansible/ansible #60031)',
    reads: [null],
    takes: (etag) => etag === '*',
    writes: [null, '*'],
    ends: 204,
  },
  {
    bmc: 'AMI, which demands it with another status (siderolabs/omni-infra-provider-bare-metal #68)',
    reads: [null],
    takes: (etag) => etag === '*',
    refusal: says(400, 'Ami.1.0.PreconditionHeaderMissing'),
    writes: [null, '*'],
    ends: 204,
  },
  {
    bmc: 'old Gigabyte, which takes no form (community.general #6434)',
    reads: ['"a"', '"a"'],
    takes: () => false,
    writes: ['"a"', '"a"', null, '*'],
    ends: 412,
  },
  {
    bmc: 'a refusal that has nothing to do with it',
    reads: ['"a"'],
    takes: () => false,
    refusal: says(400, 'Base.1.0.PropertyUnknown'),
    writes: ['"a"'],
    ends: 400,
  },
]

for (const { bmc, reads, takes, refusal = says(412), writes, ends } of ladders) {
  test(`a change is written to ${bmc}`, async () => {
    const left = [...reads]
    const written: (string | null)[] = []
    const answer = await patchWithEtag({
      read: async () => left.shift() ?? null,
      write: async (ifMatch) => {
        written.push(ifMatch)
        return takes(ifMatch) ? says(204) : refusal
      },
    })
    assert.deepEqual(written, writes)
    assert.equal(answer.status, ends)
  })
}
