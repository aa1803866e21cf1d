import { type DeployOrder, maskUrl } from '@byoi/contract'

/** Shorter values would tear words apart, and hide nothing. */
const shortestSecret = 4

/**
 * Takes an order's secrets out of a text: header values, user data, metadata values, the one-time URL of cloud-init, the image URL's
 * user-info and query. The
 * engine's lines are made without them; this is the second lock, for texts of the system below it.
 */
export function secretMask(order: DeployOrder): (text: string) => string {
  const { image, configDrive } = order
  const url = URL.canParse(image.url) ? new URL(image.url) : null
  const userData = Buffer.from(configDrive?.userDataBase64 ?? '', 'base64').toString('utf8')
  const secrets = [
    ...image.httpHeader.map(({ value }) => value),
    ...(configDrive?.userMetadatas ?? []).map(({ value }) => value),
    userData,
    configDrive?.phoneHomeUrl ?? '',
    url?.search.slice(1) ?? '',
    url?.username ?? '',
    url?.password ?? '',
    ...(url === null ? [] : [...url.searchParams.values()]),
  ]
    .filter((secret) => secret.length >= shortestSecret)
    .sort((a, b) => b.length - a.length)
  return (text) => {
    let masked = text.replaceAll(image.url, maskUrl(image.url))
    for (const secret of secrets) masked = masked.replaceAll(secret, '***')
    return masked
  }
}
