# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes a .zip: one folder that works where it is unpacked."""

import stat
import zipfile
from pathlib import Path

from .source import Source
from .tree import Tree


def write(path: Path, tree: Tree, top: str, origin: Source, level: int) -> None:
    """Writes all files below the folder `top`."""
    # The format has no time before 1980 and no zone.
    when = max(origin.when.timetuple()[:6], (1980, 1, 1, 0, 0, 0))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in tree.sorted():
            info = zipfile.ZipInfo(f"{top}{name}{'/' if entry.is_folder else ''}", when)
            info.create_system = 3
            kind = stat.S_IFDIR if entry.is_folder else stat.S_IFREG if entry.link is None else stat.S_IFLNK
            info.external_attr = (kind | entry.mode) << 16 | (0x10 if entry.is_folder else 0)
            is_file = kind == stat.S_IFREG
            info.compress_type = zipfile.ZIP_DEFLATED if is_file else zipfile.ZIP_STORED
            # The content of a link is where it points to: `unzip`, `bsdtar` and 7-Zip make links of it.
            archive.writestr(info, entry.data if entry.link is None else entry.link.encode(), compresslevel=level)
