/** glibc reads no more of them (resolv.conf(5), MAXNS). */
const mostNameservers = 3

/** resolv.conf(5) with the nameservers, the first ones first, each once. */
export const resolvConf = (nameservers: readonly string[]): string =>
  [...new Set(nameservers)]
    .slice(0, mostNameservers)
    .map((each) => `nameserver ${each}\n`)
    .join('')
