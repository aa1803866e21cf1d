#!/bin/sh
# For each NAME.qcow2 of the folder $1: NAME.check, what "qemu-img check" says, with its exit status in the last line.
cd "$1" || exit 1
LC_ALL=C
export LC_ALL
for image in *.qcow2; do
  qemu-img check -q -f qcow2 "$image" >"${image%.qcow2}.check" 2>&1
  echo "status $?" >>"${image%.qcow2}.check"
done
