#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Presses Tab in a real bash: asks the installed completions what they offer. $1 is the folder of the completions.
set -euo pipefail
# offers PROGRAM WORD…: prints what is offered for the last word, as bash hands over the words (cut at '=').
offers() {
    COMP_WORDS=("$@")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    "_${1//-/_}" 2> /dev/null || true
    printf '%s\n' "${COMPREPLY[@]}"
}
expect() {
    local wanted=$1
    shift
    offers "$@" | grep -xF -e "$wanted" > /dev/null || { echo "completion: $wanted is not offered for: $*" >&2; exit 1; }
}
refuse() {
    local unwanted=$1
    shift
    if offers "$@" | grep -xF -e "$unwanted" > /dev/null; then echo "completion: $unwanted is offered for: $*" >&2; exit 1; fi
}
for file in "$1"/duplicati-*; do
    # shellcheck source=/dev/null
    source "$file"
    complete -p "$(basename "$file")" > /dev/null
done
cd "$(mktemp -d)"
touch "a file" other
expect backup duplicati-cli ba
expect restore duplicati-cli ""
expect --dbpath= duplicati-cli backup file:///x --dbp
expect --dry-run duplicati-cli restore file:///x --dry
expect Required duplicati-cli backup file:///x --snapshot-policy = Re
expect On duplicati-cli backup file:///x --snapshot-policy =
expect other duplicati-cli backup file:///x --dbpath = oth
expect "a file" duplicati-cli backup "a"
expect retention-policy duplicati-cli help retention
expect other duplicati-cli backup file:///x o
refuse --auto-update duplicati-cli backup file:///x --auto
expect --webservice-port= duplicati-server --webservice-po
expect Information duplicati-server --log-level = I
expect change-password duplicati-server-util ch
expect PROBE duplicati-backend-tool P
expect --s3-storage-class= duplicati-backend-tool LIST s3://x --s3-st
expect --verify-contents duplicati-sync-tool a b --verify-c
echo "completion: 17 passed, 0 failed"
