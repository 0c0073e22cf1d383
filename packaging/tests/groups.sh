#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# What the generator $1 makes of a defaults file.
set -euo pipefail
generator=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
count=0
# expect LINE GROUPS: the defaults file LINE gives GROUPS, or no drop-in at all.
expect() {
    rm -rf "$folder/made" && mkdir -p "$folder/etc/default" "$folder/made"
    printf '%b' "$1" > "$folder/etc/default/duplicati"
    DUPLICATI_GENERATOR_ROOT=$folder "$generator" "$folder/made" "$folder/made" "$folder/made" 2> /dev/null
    local got
    got=$(sed -n 's/^SupplementaryGroups=//p' "$folder/made/duplicati.service.d/50-groups.conf" 2> /dev/null || true)
    if [ "$got" != "$2" ]; then
        printf 'groups: %q gives %q in place of %q\n' "$1" "$got" "$2" >&2
        exit 1
    fi
    count=$((count + 1))
}
expect 'SUPPLIMENTARY_GROUPS=group1 group2\n' 'group1 group2'
expect 'SUPPLIMENTARY_GROUPS="group1 group2"\n' 'group1 group2'
expect "SUPPLIMENTARY_GROUPS='group1,group2'\n" 'group1 group2'
expect 'export SUPPLEMENTARY_GROUPS=group1  # why\r\n' 'group1'
expect '#SUPPLIMENTARY_GROUPS=group1\nDAEMON_OPTS=""\n' ''
expect 'SUPPLIMENTARY_GROUPS=\n' ''
expect 'SUPPLIMENTARY_GROUPS=first\nSUPPLIMENTARY_GROUPS=last' 'last'
expect 'SUPPLIMENTARY_GROUPS=good $(touch /tmp/x) * ;bad -x\n' 'good'
expect 'SUPPLIMENTARY_GROUPS=2000 with.dot with-dash with_line\n' '2000 with.dot with-dash with_line'
echo "groups: $count passed, 0 failed"
