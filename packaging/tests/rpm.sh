#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Installs, upgrades and removes the package $1 in a root folder below $2 that has nothing but what the package brings.
set -euo pipefail
package=$1 root=$2/rpm-root
mkdir -p "$root"
run_rpm() { rpm --root "$root" --nodeps --noscripts "$@"; }
[ "$(rpm --query --package --queryformat '%{NAME} %{ARCH} %{LICENSE}' "$package" 2> /dev/null)" = 'duplicati x86_64 Apache-2.0 OR MIT' ]
rpm --checksig --nosignature "$package" | grep 'digests OK' > /dev/null
# The libraries that the programs need were found by rpm itself.
rpm --query --package --requires "$package" 2> /dev/null | grep -F 'libc.so.6(GLIBC_' > /dev/null
for section in post preun postun; do
    rpm --query --package --scripts "$package" 2> /dev/null | awk -v wanted="${section}install scriptlet" '
        /scriptlet \(using/ { inside = index($0, wanted) == 1; next } inside' > "$2/scriptlet" || true
    sh -n "$2/scriptlet"
done
run_rpm --install "$package" 2> /dev/null
run_rpm --verify duplicati
"$root/usr/bin/duplicati-cli" help > /dev/null
grep -q rpm "$root/usr/lib/duplicati/package_type_id.txt"
echo 'DAEMON_OPTS="--webservice-port=8300"' > "$root/etc/sysconfig/duplicati"
run_rpm --upgrade --replacepkgs "$package" 2> /dev/null
grep -q 8300 "$root/etc/sysconfig/duplicati"
mkdir -p "$root/var/lib/Duplicati" && touch "$root/var/lib/Duplicati/Duplicati-server.sqlite"
run_rpm --erase duplicati 2> /dev/null
[ ! -e "$root/usr/lib/duplicati" ] && [ ! -L "$root/usr/bin/duplicati-cli" ]
[ -e "$root/etc/sysconfig/duplicati.rpmsave" ] && [ -e "$root/var/lib/Duplicati/Duplicati-server.sqlite" ]
rm -rf "$root"
echo "rpm: 12 passed, 0 failed"
