#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# create-lvm-snapshot.sh <name> <group/volume> <folder/>: makes a snapshot, mounts it read-only on the folder, and prints where it is.
set -euo pipefail
name=${1:?a name is missing}
volume=${2:?a volume is missing}
folder=${3:?a folder is missing}
group=${volume%%/*}
extents_min=20
extents_max=1000
free=$(vgs --noheadings --options vg_free_count "$group" | tr -d '[:space:]')
if [ "$free" -lt "$extents_min" ]; then
    echo "the volume group $group has $free free extents, and a snapshot needs at least $extents_min" >&2
    exit 1
fi
[ "$free" -le "$extents_max" ] || free=$extents_max
lvcreate --quiet --snapshot --name "$name" --extents "$free" "/dev/$volume" >&2
undo() { umount "$folder" 2>/dev/null || true; rmdir "$folder" 2>/dev/null || true; lvremove --force "/dev/$group/$name" >&2 || true; }
trap undo ERR
mkdir -p "$folder"
options=ro
[ "$(blkid -o value -s TYPE "/dev/$group/$name")" != xfs ] || options=ro,nouuid
mount -o "$options" "/dev/$group/$name" "$folder"
printf 'tmpdir="%s"\n' "$folder"
