/**
 * The program that ipmi_sim runs for each question about power and boot device: `chassis-program.ts SOCKET MC get|set|check ...`
 * It passes the question on to the server's supervisor and prints the answer.
 */
import { request } from 'node:http'
import { text } from 'node:stream/consumers'

const [socketPath, , ...words] = process.argv.slice(2)
const call = request({ socketPath, method: 'POST', path: '/chassis' })
call.once('error', () => process.exit(1))
call.once('response', (response) => {
  void text(response).then((answer) => {
    process.stdout.write(answer)
    process.exitCode = response.statusCode === 200 ? 0 : 1
  })
})
call.end(JSON.stringify(words))
