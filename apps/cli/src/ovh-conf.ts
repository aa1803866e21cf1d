/** A key for the API, as an `ovh.conf` or the environment gives it. */
export interface ApiKey {
  /** Base URL with its version, e.g. `https://byoi.example.test:8443/1.0`. */
  endpoint: string
  applicationKey: string
  applicationSecret: string
  consumerKey: string
}

type Sections = Map<string, Map<string, string>>

/**
 * Reads an `ovh.conf` as OVHcloud's clients do: `[default]` names the endpoint, and a section by the endpoint's name holds
 * the keys. undefined where no section has all three of them. The endpoint is the URL itself.
 */
export function parseOvhConf(text: string): ApiKey | undefined {
  const sections = parseIni(text)
  const endpoint = sections.get('default')?.get('endpoint')
  if (endpoint === undefined) return undefined
  const keys = sections.get(endpoint)
  const applicationKey = keys?.get('application_key')
  const applicationSecret = keys?.get('application_secret')
  const consumerKey = keys?.get('consumer_key')
  if (!applicationKey || !applicationSecret || !consumerKey) return undefined
  return { endpoint, applicationKey, applicationSecret, consumerKey }
}

/** go-ovh and python-ovh read this: a URL as endpoint, and the section of that name. */
export const printOvhConf = (key: ApiKey): string =>
  [
    '[default]',
    `endpoint=${key.endpoint}`,
    '',
    `[${key.endpoint}]`,
    `application_key=${key.applicationKey}`,
    `application_secret=${key.applicationSecret}`,
    `consumer_key=${key.consumerKey}`,
    '',
  ].join('\n')

function parseIni(text: string): Sections {
  const sections: Sections = new Map()
  let section = new Map<string, string>()
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    if (line === '' || line.startsWith(';') || line.startsWith('#')) continue
    const header = /^\[(.*)\]$/.exec(line)
    if (header !== null) {
      const name = header[1] ?? ''
      section = sections.get(name) ?? new Map<string, string>()
      sections.set(name, section)
      continue
    }
    const equals = line.indexOf('=')
    if (equals > 0) section.set(line.slice(0, equals).trim(), line.slice(equals + 1).trim())
  }
  return sections
}
