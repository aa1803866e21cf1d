const maxLength = 255

/**
 * Whether the text can be the path of a loader on an EFI system partition, as OVHcloud's `efiBootloaderPath` has it:
 * `\efi\debian\grubx64.efi`. Names are those of FAT (UEFI 2.10, section 13.3), and none leads upwards.
 */
export function isEfiPath(path: string): boolean {
  const [root, ...names] = path.split('\\')
  return root === '' && path.length <= maxLength && /\.efi$/i.test(path) && names.every(isName)
}

const isName = (name: string): boolean =>
  /^[\x20-\x7e]+$/.test(name) && !/["*/:<>?|]/.test(name) && name !== '.' && name !== '..'
