import { type Json } from './json.ts'
import { mentions, type Message } from './messages.ts'

/**
 * What an insert that was refused lacked, by what the refusal names; null: nothing that could be added. Only what is asked for is
 * sent, because Supermicro X11 and iLO 4 refuse what they do not know. sushy resources/manager/virtual_media.py.
 */
export function fieldsFor(messages: readonly Message[], url: string, sent: Json): Json | null {
  const asks = (name: string) => !(name in sent) && mentions(messages, name)
  if (asks('TransferProtocolType')) {
    return { TransferProtocolType: url.startsWith('https:') ? 'HTTPS' : 'HTTP' }
  }
  if (asks('TransferMethod')) return { TransferMethod: 'Stream' }
  // NVIDIA DGX demands them for every image, and takes these (sushy bug 2071945).
  if (asks('UserName') || asks('Password')) return { UserName: 'none', Password: 'none' }
  return null
}
