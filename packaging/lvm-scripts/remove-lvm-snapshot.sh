#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# remove-lvm-snapshot.sh <name> <group/volume> <folder/>: unmounts and removes a snapshot.
set -euo pipefail
name=${1:?a name is missing}
volume=${2:?a volume is missing}
folder=${3:?a folder is missing}
umount "$folder"
rmdir "$folder"
lvremove --force "/dev/${volume%%/*}/$name" >&2
