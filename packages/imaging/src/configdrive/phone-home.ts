import { ImagingError } from '../error.ts'

/** 3 seconds apart (cloud-init, cc_phone_home). */
const TRIES = 10

/**
 * cloud-init's configuration of its module phone_home: at the end of the first boot, a POST to `url` as a form, with the
 * instance id, the host names and the public SSH host keys.
 *
 * @throws ImagingError CFG when `url` is no http or https URL
 */
export function phoneHome(url: string): Record<string, unknown> {
  return {
    phone_home: {
      url: plainUrl(url),
      post: ['instance_id', 'hostname', 'fqdn', 'pub_key_rsa', 'pub_key_ecdsa', 'pub_key_ed25519'],
      tries: TRIES,
    },
  }
}

/** ASCII, and without `$`, which cloud-init would take for the name of a variable. */
function plainUrl(url: string): string {
  const parsed = URL.parse(url)
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol)) {
    throw new ImagingError('CFG', {
      cause: 'The URL for the message that the system has booted is no http or https URL.',
      remedy: "Correct the control plane's own address.",
    })
  }
  return parsed.href.replaceAll('$', '%24')
}
