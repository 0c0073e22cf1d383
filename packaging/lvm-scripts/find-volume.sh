#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# find-volume.sh <folder>: prints the mount point and the logical volume (group/name) that hold a folder.
set -euo pipefail
folder=${1:?a folder is missing}
mount_point=$(findmnt --noheadings --first-only --output TARGET --target "$folder")
device=$(findmnt --noheadings --first-only --output SOURCE --target "$folder")
volume=$(lvs --noheadings --separator / --options vg_name,lv_name "$device" | tr -d '[:space:]')
[ -n "$volume" ] || { echo "$device is not a logical volume" >&2; exit 1; }
printf 'mountpoint="%s"\ndevice="%s"\n' "$mount_point" "$volume"
