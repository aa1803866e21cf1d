/** Which addresses and ports may be fetched from. Built-in denials: loopback, link-local, multicast and so on. */
export interface AddressPolicy {
  /** CIDR blocks allowed although built-in rules deny them, e.g. `127.0.0.0/8`. */
  allow: string[]
  /** CIDR blocks denied beside the built-in ones; deny wins over allow. */
  deny: string[]
  /** RFC 1918 and ULA addresses allowed. */
  allowPrivate: boolean
  /** Ports never fetched from; 0 always is denied. */
  denyPorts: number[]
}
