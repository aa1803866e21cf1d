import { deployImage } from '@byoi/imaging'
const [url='', path='', type='', sum=''] = process.argv.slice(2)
await deployImage({ image: { url, httpHeader: [], checkSum: { type: 'sha256', value: sum }, type }, disk: { path }, boot: null, configDrive: null, dataDisk: false, addressPolicy: { allow: ['0.0.0.0/0', '::/0'], deny: [], allowPrivate: true, denyPorts: [] } , spoolBytes: 0 } as any)
