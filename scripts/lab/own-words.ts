/**
 * What a deployed system says of itself. Its user data, which it runs only when it has read its config drive, prints lines
 * `byoi-proof NAME VALUE` on the serial console.
 */

export const proofNames = [
  'hostname',
  'key',
  'metadata',
  'root',
  'table',
  'drive',
  'firmware',
  'secure-boot',
] as const
/**
 * `key`: the blob of the SSH key that may log in; `metadata`: value of the key `role`; `root`: bytes of the root file system; `table`:
 * gpt or dos; `drive`: file system of the config drive; `firmware`: uefi or legacy; `secure-boot`: 1 where it is on.
 */
export type OwnWords = Record<(typeof proofNames)[number], string>

/** To be given as user data. The metadata must hold the key `role`. */
export const proofUserData = `#cloud-config
runcmd:
  - |
    disk=/dev/$(lsblk -no PKNAME "$(findmnt -no SOURCE /)")
    secure=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
    {
      echo
      echo "byoi-proof hostname $(hostname)"
      echo "byoi-proof key $(cut -d' ' -f2 /home/debian/.ssh/authorized_keys)"
      echo "byoi-proof metadata $(cloud-init query ds.meta_data.meta.role)"
      echo "byoi-proof root $(df --output=size -B1 / | tail -n 1 | tr -d ' ')"
      echo "byoi-proof table $(blkid -o value -s PTTYPE "$disk")"
      echo "byoi-proof drive $(blkid -o value -s TYPE "$(blkid -L config-2)")"
      echo "byoi-proof firmware $([ -d /sys/firmware/efi ] && echo uefi || echo legacy)"
      echo "byoi-proof secure-boot $(od -An -tu1 -j4 -N1 $secure 2>/dev/null | tr -d ' ')"
      echo "byoi-proof end"
    } > /dev/ttyS0
`

export const lastWord = /^byoi-proof end$/m

/** Reads the newest of each line out of a console's text; '' where there is none. */
export function readOwnWords(text: string): OwnWords {
  const words = Object.fromEntries(proofNames.map((name) => [name, ''])) as OwnWords
  for (const [, name, value] of text.matchAll(/^byoi-proof (\S+) ?(.*)$/gm)) {
    if (name !== undefined && name in words) words[name as keyof OwnWords] = (value ?? '').trim()
  }
  return words
}
