import type { RamdiskFlavour } from '@byoi/contract'
import { commandPackages } from '../image/commands.ts'

/** Debian's packages that depend on the newest kernel. */
export const kernelMetaPackages: Readonly<Record<RamdiskFlavour, string>> = {
  cloud: 'linux-image-cloud-amd64',
  generic: 'linux-image-amd64',
}

/** Of the commands and of Node. A library that is asked for and missing here fails the build, which names it. */
const libraries = `
  libacl1 libaio1 libargon2-1 libblkid1 libbpf1 libbsd0 libc6 libcap2 libcom-err2 libcrypt1 libcryptsetup12
  libdbus-1-3 libdevmapper-event1.02.1 libdevmapper1.02.1 libedit2 libefiboot1 libefivar1 libelf1 libext2fs2
  libfdisk1 libgcc-s1 libgcrypt20 libgmp10 libgpg-error0 libinih1 libjson-c5 libkmod2 liblz4-1 liblzma5 liblzo2-2
  libmd0 libmnl0 libmount1 libnvme1 libpci3 libpcre2-8-0 libpopt0 libreadline8 libselinux1 libsmartcols1 libss2
  libssl3 libstdc++6 libsystemd0 libtinfo6 libtomcrypt1 libtommath1 libudev1 liburcu8 libuuid1 libxxhash0 libzstd1
  zlib1g`

/** Programs that make the ISO, with their own libraries, and the signed files that it is made of. */
const isoMakers = `
  grub-common grub-efi-amd64-signed grub-pc-bin libbz2-1.0 libburn4 libisoburn1 libisofs6 libjte2 mtools shim-signed
  xorriso`

/** All packages that a ramdisk takes files from, but the kernel. */
export function packageNames(flavour: RamdiskFlavour): string[] {
  const listed = [libraries, isoMakers].flatMap((each) => each.trim().split(/\s+/))
  return ['busybox', 'ca-certificates', 'ipxe', 'openssh-sftp-server', ...commandPackages(flavour), ...listed]
}
