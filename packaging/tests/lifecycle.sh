#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Upgrade, removal and purge of the installed package, in the machine where page.sh was run. $1 is the newer package.
set -uo pipefail
passed=0 failed=0
check() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok    $text"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n      %s\n%s\n' "$text" "$*" "${output:0:2000}"
    fi
}
main_pid() { systemctl show -p MainPID --value duplicati.service; }
data=~root/.config/Duplicati

printf '\n== Upgrade\n'
systemctl start duplicati.service
before=$(main_pid)
sed -i 's/^DAEMON_OPTS=.*/DAEMON_OPTS="--webservice-port=8320"/' /etc/default/duplicati
settings=$(sha256sum < /etc/default/duplicati)
check "dpkg -i of a newer version asks nothing" sh -c 'dpkg -i "$1" < /dev/null' _ "$1"
check "the running service was restarted" test "$(main_pid)" != "$before" -a "$(main_pid)" != 0
check "changed settings are kept" test "$(sha256sum < /etc/default/duplicati)" = "$settings"
check "and are in use" sh -c 'tr "\0" " " < /proc/$(systemctl show -p MainPID --value duplicati.service)/cmdline | grep -e --webservice-port=8320'
check "it is still enabled" systemctl is-enabled -q duplicati.service
systemctl stop duplicati.service
check "an upgrade does not start a service that was stopped" sh -c 'dpkg -i "$1" < /dev/null && ! systemctl is-active -q duplicati.service' _ "$1"
systemctl start duplicati.service

printf '\n== Removal\n'
check "dpkg --remove" dpkg --remove duplicati
check "nothing of it runs" sh -c '! pgrep -f /duplicati-server'
check "the settings stay" test -f /etc/default/duplicati
check "the programs are gone" test ! -e /usr/bin/duplicati-server -a ! -e /usr/lib/duplicati
check "data of users is untouched" test "$(find "$data" /home/tester -type f | grep -v -e '-wal$' -e '-shm$' | wc -l)" -gt 10 -a -f "$data/Duplicati-server.sqlite"
check "installing again brings back the service as it was" sh -c 'dpkg -i "$1" < /dev/null && systemctl is-enabled -q duplicati.service' _ "$1"

printf '\n== Purge\n'
check "dpkg --purge" dpkg --purge duplicati
check "the settings are gone" test ! -e /etc/default/duplicati
check "no link to the unit stays" test ! -L /etc/systemd/system/multi-user.target.wants/duplicati.service
check "systemd knows no such unit any more" sh -c '! systemctl cat duplicati.service'
check "nothing else of it stays" sh -c '! find / -xdev -path /home -prune -o -path /root -prune -o -path /packages -prune -o -path /proc -prune -o -path "/var/log/*" -prune -o -path /var/b4 -prune -o -path "/var/cache/*" -prune -o -path "/tmp/*" -prune -o -path /var/lib/systemd -prune -o -name "*duplicati*" -print | grep .'
check "data of users is untouched" test -f "$data/Duplicati-server.sqlite" -a -f /home/tester/.config/Duplicati/dbconfig.json

printf '\nlifecycle: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
