# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes a .deb: an `ar` file of two xz-compressed `tar` files.

Written here and not by `dpkg-deb`: the format is small, the standard library has all of it, and so owners, times, order and the
number of xz threads are ours on any machine. `dpkg` and `lintian` judge the result in the package tests.
"""

import hashlib
import io
import lzma
import tarfile
from pathlib import Path

from . import source
from .elf import Program
from .errors import BuildError
from .kinds import Arch, Kind
from .source import Source
from .tree import Entry, Tree

# Debian's names for the libraries that a Rust program uses.
_PACKAGE_OF_LIBRARY = {"libc.so.6": "libc6", "libm.so.6": "libc6", "libgcc_s.so.1": "libgcc-s1", "libdl.so.2": "libc6", "libpthread.so.0": "libc6", "librt.so.1": "libc6"}
_SCRIPTS = ("postinst", "prerm", "postrm")
# The programs share most of their code: a window over all of them finds it again. Unpacking takes as much memory.
_WINDOW_BYTES = 64 << 20
# Makes jumps in machine code absolute, so that they repeat.
_FILTERS = {62: lzma.FILTER_X86, 40: lzma.FILTER_ARM}


def write(path: Path, tree: Tree, kind: Kind, arch: Arch, origin: Source, programs: list[Program], maintainer: str, level: int) -> None:
    """Writes the package to `path`."""
    code = [{"id": _FILTERS[arch.elf_machine]}] if arch.elf_machine in _FILTERS else []
    filters = [*code, {"id": lzma.FILTER_LZMA2, "preset": level, "dict_size": _WINDOW_BYTES}]
    data = lzma.compress(_tar(tree.sorted(), origin.epoch), filters=filters)
    control = Tree()
    control.file("/control", _control(tree, kind, arch, origin, programs, maintainer))
    control.file("/md5sums", _sums(tree))
    if tree.config_files():
        control.file("/conffiles", "".join(f"{name}\n" for name in tree.config_files()))
    for script in _SCRIPTS:
        control.file(f"/{script}", _script(script, kind), 0o755)
    members = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(_tar(control.sorted(), origin.epoch))),
        ("data.tar.xz", data),
    ]
    path.write_bytes(_ar(members, origin.epoch))


def _script(name: str, kind: Kind) -> str:
    starts = "true" if kind.starts_on_install else "false"
    return source.text(f"deb/{name}").replace("@UNIT@", kind.unit).replace("@STARTS@", starts)


def _control(tree: Tree, kind: Kind, arch: Arch, origin: Source, programs: list[Program], maintainer: str) -> str:
    lines = [
        f"Package: {kind.package}",
        f"Version: {origin.version}",
        f"Architecture: {arch.deb}",
        f"Maintainer: {maintainer}",
        f"Installed-Size: {-(-tree.installed_bytes() // 1024)}",
        f"Depends: {_depends(arch, programs)}",
        "Suggests: lvm2, btrfs-progs",
        "Section: utils",
        "Priority: optional",
        f"Description: {kind.summary}",
        " Stores encrypted, deduplicated versions of files in a local folder or at a",
        " remote target such as S3, SFTP or WebDAV, with the command lines, options,",
        " file locations and HTTP API of Duplicati.",
    ]
    if kind.package != "duplicati":
        lines.insert(6, "Conflicts: duplicati")
    return "\n".join(lines) + "\n"


def _depends(arch: Arch, programs: list[Program]) -> str:
    libraries = {library for program in programs for library in program.libraries} - {arch.loader}
    unknown = sorted(libraries - _PACKAGE_OF_LIBRARY.keys())
    if unknown:
        raise BuildError(f"no Debian package is known for {', '.join(unknown)}; add it to builder/deb.py")
    newest = max((program.glibc for program in programs), default=(0, 0))
    packages = []
    for name in sorted({_PACKAGE_OF_LIBRARY[library] for library in libraries}):
        packages.append(f"libc6 (>= {newest[0]}.{newest[1]})" if name == "libc6" else name)
    # Without certificates no target behind TLS can be trusted.
    return ", ".join(["ca-certificates", *packages])


def _sums(tree: Tree) -> str:
    files = [(name, entry) for name, entry in tree.sorted() if not entry.is_folder and entry.link is None and not entry.is_config]
    return "".join(f"{hashlib.md5(entry.data, usedforsecurity=False).hexdigest()}  {name[1:]}\n" for name, entry in files)


def _tar(entries: list[tuple[str, Entry]], epoch: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in [("/", Entry(mode=0o755, is_folder=True)), *entries]:
            info = tarfile.TarInfo("." + path.rstrip("/") if path != "/" else "./")
            info.mtime, info.mode, info.uname, info.gname = epoch, entry.mode, "root", "root"
            if entry.is_folder:
                info.type = tarfile.DIRTYPE
            elif entry.link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
            else:
                info.size = len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data))
    return buffer.getvalue()


def _ar(members: list[tuple[str, bytes]], epoch: int) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{epoch:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        out += b"\n" if len(data) % 2 else b""
    return out
