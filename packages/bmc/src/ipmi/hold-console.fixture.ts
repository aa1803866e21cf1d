/** Opens the serial console of the BMC whose options are its argument, says so, and holds it until it is killed. */
import { IpmiConsole } from './ipmi-console.ts'
import { type IpmiOptions } from './ipmi-options.ts'

const options = JSON.parse(process.argv[2] ?? '') as IpmiOptions
const session = await new IpmiConsole(options).openConsole(new AbortController().signal)
process.stdout.write('open\n')
for await (const bytes of session.output) process.stdout.write(bytes)
