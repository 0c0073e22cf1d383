#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Installs the package $1, which has a file for each program, upgrades it to $2, which has links to one file, and removes it, in a root
# folder below $3 that has nothing but what the packages bring.
set -euo pipefail
before=$1 package=$2 out=$3 root=$3/rpm-root
mkdir -p "$root"
run_rpm() { rpm --root "$root" --nodeps --noscripts "$@"; }
[ "$(rpm --query --package --queryformat '%{NAME} %{ARCH} %{LICENSE}' "$package" 2> /dev/null)" = 'duplicati x86_64 Apache-2.0 OR MIT' ]
rpm --checksig --nosignature "$package" | grep 'digests OK' > /dev/null
# The libraries that the programs need were found by rpm itself.
rpm --query --package --requires "$package" 2> /dev/null | grep -F 'libc.so.6(GLIBC_' > /dev/null
for section in post preun postun; do
    rpm --query --package --scripts "$package" 2> /dev/null | awk -v wanted="${section}install scriptlet" '
        /scriptlet \(using/ { inside = index($0, wanted) == 1; next } inside' > "$out/scriptlet" || true
    sh -n "$out/scriptlet"
done
run_rpm --install "$before" 2> /dev/null
[ -f "$root/usr/lib/duplicati/duplicati-cli" ] && [ ! -L "$root/usr/lib/duplicati/duplicati-cli" ]
run_rpm --upgrade "$package" 2> /dev/null
run_rpm --verify duplicati
for name in "$root"/usr/bin/duplicati-*; do [ "$(readlink -f "$name")" = "$root/usr/lib/duplicati/duplicati-programs" ]; done
run_rpm --upgrade --oldpackage "$before" 2> /dev/null
run_rpm --verify duplicati
run_rpm --upgrade "$package" 2> /dev/null
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
echo "rpm: 17 passed, 0 failed"
