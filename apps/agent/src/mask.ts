import { type DeployOrder, maskUrl } from '@byoi/contract'

/** Shorter values would tear words apart, and hide nothing. */
const shortestSecret = 4

/**
 * Takes an order's secrets out of a text: header values, user data, metadata values, the one-time URL of cloud-init, user-info and
 * query of the URLs of the image and what vouches for it. The engine's lines are made without them; this is the second lock, for texts of the system below it.
 */
export function secretMask(order: DeployOrder): (text: string) => string {
  const { image, configDrive } = order
  const urls = [image.url, image.sums?.url, image.sums?.signatureUrl, image.signature?.url].filter(
    (text) => typeof text === 'string',
  )
  const userData = Buffer.from(configDrive?.userDataBase64 ?? '', 'base64').toString('utf8')
  const secrets = [
    ...image.httpHeader.map(({ value }) => value),
    ...(configDrive?.userMetadatas ?? []).map(({ value }) => value),
    userData,
    configDrive?.phoneHomeUrl ?? '',
    ...urls.filter((text) => URL.canParse(text)).flatMap(secretParts),
  ]
    .filter((secret) => secret.length >= shortestSecret)
    .sort((a, b) => b.length - a.length)
  return (text) => {
    let masked = text
    for (const url of urls) masked = masked.replaceAll(url, maskUrl(url))
    for (const secret of secrets) masked = masked.replaceAll(secret, '***')
    return masked
  }
}

function secretParts(text: string): string[] {
  const url = new URL(text)
  return [url.search.slice(1), url.username, url.password, ...url.searchParams.values()]
}
