# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The files of a package in memory, in one order, with fixed owners and times."""

import gzip
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """A file, a symbolic link or a folder; everything belongs to root."""

    data: bytes = b""
    mode: int = 0o644
    link: str | None = None
    is_folder: bool = False
    is_config: bool = False


@dataclass
class Tree:
    """Absolute path to entry. Folders above an entry come by themselves."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def file(self, path: str, data: bytes | str, mode: int = 0o644, is_config: bool = False) -> None:
        """Adds a file; a path that is there already is a mistake of the caller."""
        content = data.encode() if isinstance(data, str) else data
        self._add(path, Entry(content, mode, is_config=is_config))

    def link(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        self._add(path, Entry(mode=0o777, link=target))

    def _add(self, path: str, entry: Entry) -> None:
        assert path.startswith("/") and path not in self.entries, path
        self.entries[path] = entry

    def sorted(self) -> list[tuple[str, Entry]]:
        """All entries by name, each behind the folders that it lies in."""
        folders = set()
        for path in self.entries:
            parts = path.split("/")[1:-1]
            folders.update("/" + "/".join(parts[: count + 1]) for count in range(len(parts)))
        everything = dict(self.entries)
        everything.update({folder: Entry(mode=0o755, is_folder=True) for folder in folders})
        return sorted(everything.items(), key=lambda item: item[0].split("/"))

    def config_files(self) -> list[str]:
        """Files that an upgrade must not replace when the administrator changed them."""
        return sorted(path for path, entry in self.entries.items() if entry.is_config)

    def installed_bytes(self) -> int:
        """What the files take on a disk with blocks of 4 KiB."""
        return sum(-(-len(entry.data) // 4096) * 4096 for _path, entry in self.sorted())


def gzipped(data: bytes | str) -> bytes:
    """Compressed without name and time, so that the same text gives the same bytes."""
    content = data.encode() if isinstance(data, str) else data
    return gzip.compress(content, compresslevel=9, mtime=0)
