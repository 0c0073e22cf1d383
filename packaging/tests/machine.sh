# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=bash
# A machine with a real systemd for the package tests, in namespaces of its own; sourced by `run`.

MACHINE_CGROUP=
MACHINE_PID=
MACHINE_UNSHARE=

# Boots the root folder $1, with the folder $2 to read at /packages. All changes are lost at the end.
machine_start() {
    local cgroups=/sys/fs/cgroup
    [ -d "$cgroups/unified" ] && cgroups=$cgroups/unified
    MACHINE_CGROUP=$cgroups/package-test-$$
    MACHINE_PLACE=$(mktemp -d)
    mkdir "$MACHINE_CGROUP"
    # The new group of processes is the top of the machine's hierarchy, so it is joined before the namespace is made.
    bash -c 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"' _ "$MACHINE_CGROUP" \
        unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child \
        "$(dirname "${BASH_SOURCE[0]}")/boot" "$1" "$MACHINE_PLACE" "$2" > "$MACHINE_PLACE.log" 2>&1 < /dev/null &
    MACHINE_UNSHARE=$!
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        MACHINE_PID=$(pgrep -P "$MACHINE_UNSHARE" || true)
        if [ -n "$MACHINE_PID" ] && inside test -e /etc/machine-of-the-package-test -a ! -e /the-host/etc 2> /dev/null; then
            if inside systemctl is-system-running --wait 2> /dev/null | grep -Eq 'running|degraded'; then
                return 0
            fi
        fi
        sleep 0.2
    done
    echo "the machine did not start:" >&2
    cat "$MACHINE_PLACE.log" >&2
    return 1
}

# Runs a command in the machine, with the environment of a fresh login.
inside() {
    nsenter --target "$MACHINE_PID" --mount --pid --uts --ipc --net --cgroup --root --wd -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
        SYSTEMD_PAGER=cat DEBIAN_FRONTEND=noninteractive "$@"
}

machine_stop() {
    [ -z "$MACHINE_PID" ] || kill -9 "$MACHINE_PID" 2> /dev/null || true
    [ -z "$MACHINE_UNSHARE" ] || wait "$MACHINE_UNSHARE" 2> /dev/null || true
    local tries
    for ((tries = 0; tries < 50; tries++)); do
        find "$MACHINE_CGROUP" -depth -type d -exec rmdir {} + 2> /dev/null || true
        [ -d "$MACHINE_CGROUP" ] || break
        sleep 0.1
    done
    rm -rf "$MACHINE_PLACE" "$MACHINE_PLACE.log"
    MACHINE_PID= MACHINE_UNSHARE=
}
