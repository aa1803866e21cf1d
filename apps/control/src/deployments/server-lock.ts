import { type Db, type Trx } from '../store/database.ts'
import { type DeploymentRow, type ServerRow } from './workflow-context.ts'

/** Changes of one server happen one after the other. The owner stands in the WHERE; null: any owner. */
export const lockServer = async (
  trx: Trx,
  account: string | null,
  serviceName: string,
): Promise<ServerRow | undefined> =>
  await trx
    .selectFrom('server')
    .selectAll()
    .where('service_name', '=', serviceName)
    .$if(account !== null, (query) => query.where('account', '=', account ?? ''))
    .forUpdate()
    .executeTakeFirst()

/** What is open on the server, whatever its kind: there is one at most. */
export const openDeployment = async (trx: Db | Trx, serverId: number): Promise<DeploymentRow | undefined> =>
  await trx
    .selectFrom('deployment')
    .selectAll()
    .where('server_id', '=', serverId)
    .where('state', 'in', ['open', 'hold'])
    .executeTakeFirst()
