import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recorded } from '../testing/recorded-bmc.ts'
import { fieldsFor } from './insert-fields.ts'
import { messagesOf } from './messages.ts'

const url = 'https://10.0.0.1/a.iso'

const refusals = [
  { file: 'sushy/transfer_proto_required_error.json', asks: { TransferProtocolType: 'HTTPS' } },
  { file: 'sushy/transfer_proto_required_error2.json', asks: { TransferProtocolType: 'HTTPS' } },
  { file: 'sushy/transfer_proto_required_error3.json', asks: { TransferProtocolType: 'HTTPS' } },
  { file: 'sushy/transfer_method_required_error.json', asks: { TransferMethod: 'Stream' } },
  { file: 'sushy/credentials_required_error.json', asks: { UserName: 'none', Password: 'none' } },
  { file: 'sushy/error.json', asks: null },
  { file: 'sushy/error_single_ext_info.json', asks: null },
  { file: 'sushy/session_error.json', asks: null },
]

for (const { file, asks } of refusals) {
  test(`the refusal ${file} asks for ${asks === null ? 'nothing' : Object.keys(asks).join()}`, () => {
    const messages = messagesOf(recorded(file))
    assert.deepEqual(fieldsFor(messages, url, {}), asks)
    assert.equal(fieldsFor(messages, url, asks ?? {}), null, 'and for nothing twice')
  })
}

const shapes = [
  {
    shape: 'a list',
    body: recorded('sushy/error.json'),
    ids: ['PropertyValueNotInList', 'PropertyNotWriteable', 'MalformedJSON', 'GeneralError'],
  },
  {
    shape: 'one object',
    body: recorded('sushy/error_single_ext_info.json'),
    ids: ['GeneralError', 'GeneralError'],
  },
  {
    shape: 'a string',
    body: { error: { code: 'SYS446', '@Message.ExtendedInfo': 'Internal error' } },
    ids: ['', 'SYS446'],
  },
  { shape: 'nothing but a code', body: { error: { code: 'Base.1.0.GeneralError' } }, ids: ['GeneralError'] },
  { shape: 'a sentence in place of an object', body: { error: 'no' }, ids: [] },
  {
    shape: 'other members of other types',
    body: { error: { '@Message.ExtendedInfo': [7, null, {}] } },
    ids: [],
  },
  { shape: 'no error', body: { PowerState: 'On' }, ids: [] },
]

for (const { shape, body, ids } of shapes) {
  test(`an error with ${shape} is read`, () => {
    assert.deepEqual(
      messagesOf(body).map(({ id }) => id),
      ids,
    )
  })
}

test('a message names its properties without their pointers', () => {
  const [first] = messagesOf(recorded('sushy/error.json'))
  assert.ok(first?.properties.includes('IndicatorLED'))
})
