import { get as httpGet } from 'node:http'
import { get as httpsGet } from 'node:https'

const answerMs = 10_000

/**
 * Reads the first byte of a medium, as a BMC does before it says that the medium is inserted. Like most BMCs it does not check the
 * certificate. @throws {Error} when ranges of the medium cannot be read; the URL is not in the message.
 */
export async function probeMedium(url: string): Promise<void> {
  const headers = { Range: 'bytes=0-0' }
  const status = await new Promise<number>((resolve, reject) => {
    const options = { headers, timeout: answerMs, agent: false, rejectUnauthorized: false }
    const request = (url.startsWith('https:') ? httpsGet : httpGet)(url, options, (response) => {
      resolve(response.statusCode ?? 0)
      request.destroy()
    })
    request.once('timeout', () => request.destroy(new Error(`no answer within ${answerMs / 1000} s`)))
    request.on('error', reject)
  }).catch((error: unknown) => {
    throw new Error(`The image cannot be reached: ${(error as Error).message}.`)
  })
  if (status !== 206) throw new Error(`The image cannot be read in ranges: the server answers ${status}.`)
}
