/** A replica as a process of its own, so that it can be killed. Its servers have the serial line at the port that it is given. */
import { realClock } from '@byoi/bmc'
import { pino } from 'pino'
import { openControlPlane } from '../control-plane.ts'
import { defaultSettings } from '../deployments/settings.ts'
import { type Connection } from '../store/database.ts'
import { readMasterKey } from '../store/secrets.ts'
import { withConsole } from './serial.fixture.ts'
import { TcpConsole } from './tcp-line.fixture.ts'

const [connection = '', keys = '', port = ''] = process.argv.slice(2)
const controlPlane = await openControlPlane({
  connection: JSON.parse(connection) as Connection,
  masterKey: await readMasterKey(keys),
  settings: defaultSettings,
  bmcs: { servers: '/nonexistent', agentCommand: ['/bin/false'], agentEnvironment: {}, clock: realClock },
  logger: pino({ level: 'fatal' }),
  caPem: 'CA',
})
const { openBmc } = controlPlane.context
controlPlane.context.openBmc = (row) => withConsole(openBmc(row), new TcpConsole(Number(port)))
const controlUrl = 'https://127.0.0.1:1'
await controlPlane.start({ controlUrl, agentUrl: controlUrl, provisioning: null })
process.stdout.write('ready\n')
process.once('SIGTERM', () => void controlPlane.stop().then(() => process.exit(0)))
