#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# The unprivileged variant, set up as its own file says: the server is not root, reads what only root may read, and cannot write it.
set -euo pipefail
example=/usr/share/doc/duplicati/examples/unprivileged.conf
# The lines of the instructions; adduser is not in a minimal system, useradd does the same.
useradd --system --user-group --home-dir /var/lib/duplicati --no-create-home duplicati
mkdir -p /etc/systemd/system/duplicati.service.d
cp "$example" /etc/systemd/system/duplicati.service.d/
systemctl daemon-reload
systemctl restart duplicati.service
pid=$(systemctl show -p MainPID --value duplicati.service)
[ "$(stat -c %U "/proc/$pid")" = duplicati ]
[ "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" = 0000000000000004 ]
[ -f /var/lib/duplicati/Duplicati-server.sqlite ]

# A backup under the same restrictions, as the server would run it.
mkdir -p /srv/secret && echo secret > /srv/secret/file && chmod 700 /srv/secret && chmod 600 /srv/secret/file
systemd-run --quiet --wait --pipe -p User=duplicati -p AmbientCapabilities=CAP_DAC_READ_SEARCH \
    -p CapabilityBoundingSet=CAP_DAC_READ_SEARCH -p NoNewPrivileges=yes -p ProtectSystem=strict -p ProtectHome=read-only \
    -p StateDirectory=duplicati -p SystemCallFilter=@system-service -p MemoryDenyWriteExecute=yes -p Environment=HOME=/var/lib/duplicati \
    duplicati-cli backup file:///var/lib/duplicati/repository /srv/secret --passphrase=abc
duplicati-cli list file:///var/lib/duplicati/repository 0 --passphrase=abc | grep /srv/secret/file
systemctl stop duplicati.service
rm -r /etc/systemd/system/duplicati.service.d
systemctl daemon-reload
userdel duplicati
rm -r /var/lib/duplicati
echo "unprivileged: 1 passed, 0 failed"
