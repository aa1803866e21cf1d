/** What the deployments of the kill test are: most are right, some carry an error that they must end in. */
import { type ErrorCode } from '@byoi/contract'
import { type ImageServer } from '../image-server.ts'
import { type SmallImage } from '../small-image.ts'

export interface Plan {
  name: string
  weight: number
  /** Error codes it may end in; empty: it must end done. */
  ends: readonly ErrorCode[]
  body: (image: SmallImage, images: ImageServer) => Record<string, unknown>
}

const right = (image: SmallImage, images: ImageServer): Record<string, unknown> => ({
  URL: images.urlOf(image.path),
  type: image.type,
  checkSum: image.sha256,
  checkSumType: 'sha256',
  configdrive: { enable: true, hostname: 'kill-test' },
})

export const plans: readonly Plan[] = [
  { name: 'right', weight: 17, ends: [], body: right },
  {
    name: 'bad checksum',
    weight: 2,
    ends: ['SUM'],
    body: (image, images) => ({ ...right(image, images), checkSum: '0'.repeat(64) }),
  },
  {
    name: 'absent image',
    weight: 1,
    ends: ['DOWNLOAD'],
    body: (image, images) => ({ ...right(image, images), URL: `${images.url}/absent.img` }),
  },
  {
    name: 'wrong type',
    weight: 1,
    ends: ['FORMAT'],
    body: (image, images) => ({ ...right(image, images), type: image.type === 'raw' ? 'qcow2' : 'raw' }),
  },
]
