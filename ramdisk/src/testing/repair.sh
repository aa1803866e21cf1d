# Run in the rescue system on three empty disks of 1 GiB: makes, checks, grows and mounts what systems lie on.
set -ex
printf 'label: gpt\nsize=64MiB, type=U\nsize=100MiB\nsize=400MiB\n' | sfdisk -q /dev/vda
sgdisk -v /dev/vda

mkfs.vfat -F 32 /dev/vda1
fsck.vfat -n /dev/vda1
mount /dev/vda1 /mnt && echo a >/mnt/a && umount /mnt

mke2fs -q -t ext4 /dev/vda2 90M
e2fsck -fp /dev/vda2
resize2fs /dev/vda2
mount /dev/vda2 /mnt && echo a >/mnt/a && umount /mnt

mkfs.xfs -q /dev/vda3
xfs_repair -n /dev/vda3
mount /dev/vda3 /mnt && xfs_growfs /mnt && umount /mnt

mdadm --create /dev/md0 --run --level=1 --raid-devices=2 /dev/vdb /dev/vdc </dev/null
pvcreate /dev/md0
vgcreate vg /dev/md0
lvcreate -L 100M -n lv vg
echo pass | cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vg/lv -
echo pass | cryptsetup open /dev/vg/lv secret --key-file -
mke2fs -q /dev/mapper/secret
mount /dev/mapper/secret /mnt && umount /mnt
cryptsetup close secret
vgchange -an vg
mdadm --stop /dev/md0
mdadm --assemble --scan
vgchange -ay vg
cryptsetup isLuks /dev/vg/lv

# Drivers that a mount or ip would ask for.
modprobe -a btrfs isofs squashfs raid456 dm-thin-pool
ip link add bond0 type bond mode 802.3ad
ip link add link eth0 name eth0.5 type vlan id 5

btrfs --version
blkid /dev/vda2
wipefs -a /dev/vda3
rsync --version
ddrescue --version
ethtool -i eth0
dropbearkey -t ed25519 -f /tmp/key
echo 'all is repaired' | tr a-z A-Z
