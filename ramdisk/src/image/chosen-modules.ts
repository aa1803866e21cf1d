/**
 * What the ramdisk carries of the kernel's modules, as globs below `kernel/` for files and folders: what servers reach the network and
 * keep their disks with, and what systems that are to be repaired lie on. What a flavour's kernel does not have is passed over.
 */
export const chosenModules: readonly string[] = [
  // Buses
  'drivers/{hv,virtio}',
  'drivers/pci/{controller,hotplug}',
  'drivers/usb/{core,common,host,storage}',
  'drivers/hid/{hid,hid-generic,hid-hyperv}.ko',
  'drivers/hid/usbhid',
  'drivers/char/{hw_random,ipmi}',
  'drivers/char/virtio_console.ko',
  'drivers/firmware/{dmi-sysfs,qemu_fw_cfg}.ko',

  // Disks and their controllers
  'drivers/block/{loop,nbd,virtio_blk,xen-blkfront}.ko',
  'drivers/cdrom',
  'drivers/nvme/host/{nvme,nvme-core}.ko',
  'drivers/ata/{ahci,acard-ahci,ata_generic,ata_piix,sata_*}.ko',
  'drivers/scsi/{sd_mod,sr_mod,sg,ses}.ko',
  'drivers/scsi/{3w-9xxx,3w-sas,BusLogic,hpsa,hptiop,hv_storvsc,ipr,mvumi,pmcraid,stex,virtio_scsi,vmw_pvscsi,xen-scsifront}.ko',
  'drivers/scsi/{aacraid,arcmsr,esas2r,isci,megaraid,mpi3mr,mpt3sas,mvsas,pm8001,smartpqi}',
  'drivers/message/fusion',

  // Network
  'drivers/net/{net_failover,virtio_net,xen-netfront}.ko',
  'drivers/net/{bonding,hyperv,mdio,phy,vmxnet3}',
  'drivers/net/ethernet/{amazon,amd,aquantia,atheros,broadcom,brocade,chelsio,cisco,emulex,google}',
  'drivers/net/ethernet/{huawei,intel,marvell,mellanox,microsoft,nvidia,qlogic,realtek,sfc}',
  'drivers/net/usb/{ax88179_178a,cdc_ether,cdc_ncm,r8152,rndis_host}.ko',
  'net/8021q',

  // File systems and what lies below them
  'drivers/md/{dm-cache,dm-cache-smq,dm-crypt,dm-integrity,dm-mirror,dm-mod,dm-raid,dm-snapshot,dm-thin-pool,dm-writecache}.ko',
  'drivers/md/{linear,md-mod,raid0,raid1,raid10,raid456}.ko',
  'fs/{btrfs,exfat,ext4,fat,isofs,overlayfs,squashfs,xfs}',
  'fs/nls/nls_{ascii,cp437,iso8859-1,iso8859-15,utf8}.ko',
  'fs/efivarfs',
  'arch/x86/crypto/{aesni-intel,crc32-pclmul,crc32c-intel,crct10dif-pclmul,sha256-ssse3,sha512-ssse3}.ko',
  'crypto/{algif_hash,algif_skcipher,blake2b_generic,crc32c_generic,ecb,essiv,sha512_generic,xts,xxhash_generic}.ko',
]
