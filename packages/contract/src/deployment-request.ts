import { badField } from './bad-parameter.ts'
import { refuseUnknownTypes, requestedUrl, requestOf } from './byoi-request.ts'
import { type ByoiRequest, deployableTypes, DeploymentBody } from './byoi-request.types.ts'
import { checkShape } from './check-shape.ts'

const call = 'POST/deployment'

/**
 * Checks the body of `POST /byoi/server/{serviceName}/deployment` (a value from `parseStrictJson`) and normalises it. What does
 * not go together is refused: nothing that was asked for is left aside. Throws `BadParameter` as `parseByoiRequest` does.
 */
export function parseDeploymentRequest(value: unknown): ByoiRequest {
  refuseUnknownTypes(value, deployableTypes)
  const body = checkShape(DeploymentBody, value, call)
  return {
    ...requestOf(body),
    ...verificationOf(body),
    growLastPartition: body.growLastPartition ?? false,
    disks: disksOf(body),
  }
}

function disksOf({ disks = [], diskGroupId }: DeploymentBody): string[] {
  if (disks.length > 0 && typeof diskGroupId === 'number')
    throw badField('disks', 'be left out where diskGroupId is given')
  return disks
}

function verificationOf(body: DeploymentBody): Pick<ByoiRequest, 'sums' | 'signature' | 'keyNames'> {
  const { checkSum, checkSumUrl, checkSumName, signatureUrl, keyNames = [] } = body
  const of = body.signatureOf ?? (checkSumUrl === undefined ? 'image' : 'sums')
  if (checkSum !== undefined && checkSumUrl !== undefined)
    throw badField('checkSumUrl', 'be left out where checkSum is given')
  if (checkSumName !== undefined && checkSumUrl === undefined)
    throw badField('checkSumName', 'come with checkSumUrl')
  if (checkSumName !== undefined && /\p{Cc}/u.test(checkSumName))
    throw badField('checkSumName', 'hold no control characters')
  if (body.signatureOf !== undefined && signatureUrl === undefined)
    throw badField('signatureOf', 'come with signatureUrl')
  if (of === 'sums' && checkSumUrl === undefined)
    throw badField('signatureOf', 'be image without checkSumUrl')
  if (signatureUrl !== undefined && keyNames.length === 0)
    throw badField('keyNames', 'name at least one signing key where signatureUrl is given')
  if (keyNames.length > 0 && signatureUrl === undefined && checkSumUrl === undefined)
    throw badField('keyNames', 'come with signatureUrl, or with the checkSumUrl of a clear-signed file')
  return {
    sums:
      checkSumUrl === undefined
        ? null
        : { ...requestedUrl(checkSumUrl, 'checkSumUrl'), name: checkSumName ?? null },
    signature: signatureUrl === undefined ? null : { ...requestedUrl(signatureUrl, 'signatureUrl'), of },
    keyNames,
  }
}
