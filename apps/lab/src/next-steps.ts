import { type LabFile } from './lab-file.ts'

/** What can be done in a lab that has just come up. */
export function nextSteps(folder: string, { control, servers }: LabFile): string {
  const name = servers.at(-1)?.plan.name ?? 'NAME'
  const data = control?.data ?? ''
  return `
The lab is up, its servers are off. Images are fetched by the servers, to which this machine is 10.0.2.2:

  node scripts/image-server.ts IMAGE.qcow2          # prints http://127.0.0.1:PORT
  ./byoi deploy ${name} --data ${data} --url http://10.0.2.2:PORT/IMAGE.qcow2 --type qcow2 --wait
  tail -f ${folder}/${name}/serial.log             # its serial console
  ./byoi rescue ${name} --data ${data}
  ./byoi lab status --data ${folder}
  ./byoi lab down --data ${folder}

For OVHcloud's clients: ${folder}/ovh.conf, and export NODE_EXTRA_CA_CERTS=${data}/tls/ca.pem
`
}
