# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes a .rpm with `rpmbuild`.

Its header carries digests, file classes and the libraries needed, and signing tools expect them as `rpmbuild` writes them; a
writer of our own would be checked by nothing but itself. Every source of change is pinned: times, build host, order, payload.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import source
from .errors import BuildError
from .kinds import Arch, Kind
from .source import Source
from .tree import Tree


def write(path: Path, tree: Tree, kind: Kind, arch: Arch, origin: Source, maintainer: str, level: int) -> None:
    """Writes the package to `path`."""
    if shutil.which("rpmbuild") is None:
        raise BuildError("rpmbuild is missing; install the package rpm or leave rpm out with --formats deb,zip")
    with tempfile.TemporaryDirectory(prefix="rpm-") as name:
        folder = Path(name)
        staged = folder / "staged"
        _stage(staged, tree)
        spec = folder / f"{kind.package}.spec"
        spec.write_text(_spec(tree, kind, origin, maintainer, staged))
        _run(spec, folder, arch, origin, level)
        made = list((folder / "RPMS").rglob("*.rpm"))
        if len(made) != 1:
            raise BuildError(f"rpmbuild made {len(made)} packages in place of one")
        shutil.copyfile(made[0], path)


def _stage(folder: Path, tree: Tree) -> None:
    for path, entry in tree.sorted():
        place = folder / path[1:]
        if entry.is_folder:
            place.mkdir(parents=True, exist_ok=True)
        elif entry.link is not None:
            place.symlink_to(entry.link)
        else:
            place.write_bytes(entry.data)
            place.chmod(entry.mode)


def _spec(tree: Tree, kind: Kind, origin: Source, maintainer: str, staged: Path) -> str:
    lines = [
        f"Name: {kind.package}",
        f"Version: {origin.version}",
        "Release: 1",
        f"Summary: {kind.summary[0].upper()}{kind.summary[1:]}",
        "License: Apache-2.0 OR MIT",
        "Group: Applications/Archiving",
        f"Packager: {maintainer}",
        f"Vendor: {maintainer.split(' <')[0]}",
        # Without certificates no target behind TLS can be trusted.
        "Requires: ca-certificates",
        # The folder of the unit and of its generator come with systemd, which may be absent in a container.
        "Recommends: systemd",
        *(["Conflicts: duplicati"] if kind.package != "duplicati" else []),
        "%description",
        "Stores encrypted, deduplicated versions of files in a local folder or at a",
        "remote target such as S3, SFTP or WebDAV, with the command lines, options,",
        "file locations and HTTP API of Duplicati.",
        "%install",
        f'cp -a "{staged}/." "%{{buildroot}}/"',
        "%files",
        "%defattr(-,root,root,-)",
    ]
    own_folders = (f"/usr/lib/{kind.package}", f"/usr/share/doc/{kind.package}", f"/usr/share/licenses/{kind.package}")
    for path, entry in tree.sorted():
        if entry.is_folder:
            if path.startswith(own_folders):
                lines.append(f"%dir %attr(0755,root,root) {path}")
        elif entry.link is not None:
            lines.append(path)
        else:
            flags = "%config(noreplace) " if entry.is_config else "%doc " if path.startswith("/usr/share/doc/") else ""
            lines.append(f"{flags}%attr({entry.mode:04o},root,root) {path}")
    for section in ("post", "preun", "postun"):
        text = source.text(f"rpm/{section}").replace("@UNIT@", kind.unit)
        text = text.replace("@STARTS@", "true" if kind.starts_on_install else "false")
        lines += [f"%{section}", text.rstrip()]
    lines += [
        "%changelog",
        f"* {origin.when:%a %b %d %Y} {maintainer} - {origin.version}-1",
        f"- Built from commit {origin.commit[:12]}.",
    ]
    return "\n".join(lines) + "\n"


def _run(spec: Path, folder: Path, arch: Arch, origin: Source, level: int) -> None:
    defines = {
        "_topdir": str(folder),
        "_rpmdir": str(folder / "RPMS"),
        "_buildhost": "localhost",
        # xz with one thread, readable by every rpm since 4.6. The window of level 9 spans all programs, which share most of their code.
        "_binary_payload": f"w{9 if level >= 6 else level}.xzdio",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
        "_build_id_links": "none",
        "debug_package": "%{nil}",
        # Nothing is changed behind our back: no stripping, no compression of manuals, no byte compilation.
        "__os_install_post": "%{nil}",
        "__brp_mangle_shebangs": "%{nil}",
        "_unpackaged_files_terminate_build": "1",
    }
    command = ["rpmbuild", "-bb", "--quiet", "--target", f"{arch.rpm}-linux"]
    for name, value in defines.items():
        command += ["--define", f"{name} {value}"]
    # The times of the files are clamped to the epoch, so they must not be older than it; they have just been written.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(origin.epoch), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run([*command, str(spec)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"rpmbuild failed:\n{done.stderr.strip()}")
