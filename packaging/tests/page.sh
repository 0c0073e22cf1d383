#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Follows the page "Using Duplicati with Linux" in its order, in a fresh machine where the package has just been installed, and
# checks what the page promises. Prints what is left out and why. Run by `packaging/tests/run`.
set -uo pipefail
passed=0 failed=0

say() { printf '\n== %s\n' "$*"; }
# check TEXT COMMAND…: the command must succeed.
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
left_out() { echo "left out: $1"; }
# prints PATTERN COMMAND…: its output must match.
prints() {
    local pattern=$1
    shift
    "$@" 2>&1 | grep -E -- "$pattern"
}
user() { runuser -u tester -- env HOME=/home/tester "$@"; }
code() {
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" -eq "$wanted" ] || { echo "ended with $got in place of $wanted"; return 1; }
}
# Asks /health on a port until it says 200, for ten seconds at most.
answers() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        if (exec 3<> "/dev/tcp/127.0.0.1/$1" && printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 && head -n 1 <&3 | grep -q ' 200') 2> /dev/null; then
            return 0
        fi
        sleep 0.1
    done
    echo "nothing answers on port $1"
    return 1
}

say "Type of package"
check "the installed type is recorded" prints '^linux-(x64|arm64|arm7)-(cli|gui)\.deb$' cat /usr/lib/duplicati/package_type_id.txt
left_out "type gui with duplicati in the desktop's menu: the program duplicati does not exist yet"
left_out "type agent with duplicati-agent and its registration: the program duplicati-agent does not exist yet"

say "Programs in one file"
check "each name is a link to it" sh -c 'for name in /usr/bin/duplicati-*; do [ "$(readlink -f "$name")" = /usr/lib/duplicati/duplicati-programs ] || exit 1; done'
check "which lists them" sh -c '/usr/lib/duplicati/duplicati-programs | grep -c "^  duplicati-" | grep -qx "$(ls /usr/bin/duplicati-* | wc -l)"'
ln -s /usr/bin/duplicati-cli /usr/local/bin/my-backup
check "a link of one's own to a program runs that program" prints 'duplicati-cli' my-backup help
rm /usr/local/bin/my-backup

say "Server started by hand, as a user"
user sh -c 'duplicati-server > /tmp/server.log 2>&1 & echo $! > /tmp/server.pid'
check "it answers on port 8200" answers 8200
check "it prints a link to sign in" prints 'http://localhost:8200/signin.html\?token=' cat /tmp/server.log
check "its data is in ~/.config/Duplicati" test -f /home/tester/.config/Duplicati/Duplicati-server.sqlite
check "which is closed to others" test "$(stat -c %a /home/tester/.config/Duplicati)" = 700
check "a second server of the same user is refused with 200" code 200 user duplicati-server
check "it ends when asked" sh -c 'kill "$(cat /tmp/server.pid)"; for i in $(seq 100); do kill -0 "$(cat /tmp/server.pid)" 2> /dev/null || exit 0; sleep 0.1; done; exit 1'

say "Server as a service"
check "it is neither enabled nor started by the installation" sh -c '! systemctl is-active -q duplicati.service && ! systemctl is-enabled -q duplicati.service'
check "systemctl enable" systemctl enable duplicati.service
check "systemctl daemon-reload" systemctl daemon-reload
check "systemctl start waits until it is ready" systemctl start duplicati.service
check "systemctl status says active" prints 'Active: active \(running\)' systemctl status duplicati.service --no-pager
check "it answers as soon as it is started" answers 8200
check "the log is under the name of the page" prints 'duplicati-server' journalctl --unit=duplicati --no-pager
check "with the link to sign in" prints 'http://localhost:8200/signin.html\?token=' journalctl --unit=duplicati --no-pager
check "root's data is in root's folder" test -f ~root/.config/Duplicati/Duplicati-server.sqlite

say "Settings in /etc/default/duplicati"
sed -i 's/^DAEMON_OPTS=.*/DAEMON_OPTS="--webservice-port=8310 --webservice-interface=loopback"/' /etc/default/duplicati
check "systemctl restart" systemctl restart duplicati.service
check "several options in DAEMON_OPTS reach the server" answers 8310
sed -i 's/^DAEMON_OPTS=.*/DAEMON_OPTS=""/' /etc/default/duplicati

say "Supplementary groups"
groupadd first-group && groupadd second-group && groupadd third-group
has_groups() {
    local wanted=$1 ids id
    ids=$(grep '^Groups:' "/proc/$(systemctl show -p MainPID --value duplicati.service)/status")
    for id in $wanted; do
        id=$(getent group "$id" | cut -d: -f3)
        [[ " ${ids#Groups:} " =~ [[:space:]]$id[[:space:]] ]] || { echo "group $id is not among $ids"; return 1; }
    done
}
echo 'SUPPLIMENTARY_GROUPS=first-group second-group' >> /etc/default/duplicati
check "after daemon-reload and restart" sh -c 'systemctl daemon-reload && systemctl restart duplicati.service'
check "the process has the groups" has_groups "first-group second-group"
sed -i 's/^SUPPLIMENTARY_GROUPS=.*/SUPPLIMENTARY_GROUPS="second-group, third-group" # note/' /etc/default/duplicati
check "also with quotes" sh -c 'systemctl daemon-reload && systemctl restart duplicati.service'
check "the process has these" has_groups "second-group third-group"
sed -i '/^SUPPLIMENTARY_GROUPS/d' /etc/default/duplicati
systemctl daemon-reload && systemctl restart duplicati.service
check "without the line it has none of them" sh -c '! grep "^Groups:" /proc/$(systemctl show -p MainPID --value duplicati.service)/status | grep -w "$(getent group second-group | cut -d: -f3)"'

say "Help of every program"
for program in /usr/bin/duplicati-*; do
    name=$(basename "$program")
    for word in help --help -h; do check "$name $word" prints 'duplicati-' "$name" "$word"; done
    check "$name --version" prints '^[0-9]+\.[0-9]+\.[0-9]+$' "$name" --version
done
for missing in duplicati-service duplicati-recovery-tool duplicati-database-tool duplicati-configure duplicati-secret-tool \
    duplicati-source-tool duplicati-snapshots duplicati-aescrypt duplicati-autoupdater; do
    [ -e "/usr/bin/$missing" ] || left_out "$missing: does not exist yet"
done

say "Controlling the server"
check "server-util status" prints 'Server state' duplicati-server-util status
check "server-util change-password needs no old one on this machine" duplicati-server-util change-password 'a new password'
check "server-util login with it" duplicati-server-util login --password='a new password'
systemctl restart duplicati.service
check "no link to sign in any more" sh -c '! journalctl --unit=duplicati --no-pager _PID=$(systemctl show -p MainPID --value duplicati.service) | grep signin.html'
check "server-util health" duplicati-server-util health

say "Backup and restore on the command line"
user sh -c 'mkdir -p ~/documents ~/b && date > ~/documents/note && mkdir ~/documents/more && seq 100000 > ~/documents/more/numbers'
export PASSPHRASE='a long sentence'
check "backup" user duplicati-cli backup file:///home/tester/b /home/tester/documents
check "the local database is named in dbconfig.json" prints 'home/tester/b' cat /home/tester/.config/Duplicati/dbconfig.json
check "a second backup without changes ends with 1" code 1 user duplicati-cli backup file:///home/tester/b /home/tester/documents
check "list" prints 'note' user duplicati-cli list file:///home/tester/b 0
check "restore" user duplicati-cli restore file:///home/tester/b --restore-path=/home/tester/restored
check "gives the same files" sh -c 'diff -r /home/tester/documents /home/tester/restored || diff -r /home/tester/documents /home/tester/restored/documents'
check "--dbpath takes another database" user duplicati-cli backup file:///home/tester/b2 /home/tester/documents --dbpath=/home/tester/own.sqlite
check "which is there" test -f /home/tester/own.sqlite
check "--server-datafolder takes another folder" user duplicati-cli backup file:///home/tester/b3 /home/tester/documents --server-datafolder=/home/tester/other
check "which has its own dbconfig.json" test -f /home/tester/other/dbconfig.json
check "root's database is in root's folder" sh -c 'duplicati-cli backup file:///var/b4 /home/tester/documents && test -f ~root/.config/Duplicati/dbconfig.json'

say "Locked files"
user flock /home/tester/documents/note sleep 60 &
locker=$!
sleep 0.5
check "a locked file is left out with a warning" code 2 user duplicati-cli backup file:///home/tester/b5 /home/tester/documents
check "--ignore-advisory-locking=true reads it" code 0 user duplicati-cli backup file:///home/tester/b6 /home/tester/documents --ignore-advisory-locking=true
kill "$locker" 2> /dev/null

say "Stop"
check "systemctl stop" systemctl stop duplicati.service
check "ends without a failure" test "$(systemctl is-failed duplicati.service)" = inactive

printf '\npage: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
