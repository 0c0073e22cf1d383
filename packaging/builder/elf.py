# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Reads from a program which processor it is for and which libraries, in which version, it needs."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError

_DYNAMIC_SEGMENT = 2
_LOADED_SEGMENT = 1
_NEEDED, _STRING_TABLE, _STRING_BYTES = 1, 5, 10


@dataclass(frozen=True)
class Program:
    """What the head and the dynamic section say."""

    machine: int
    bits: int
    libraries: tuple[str, ...]
    glibc: tuple[int, int]


def read(path: Path) -> Program:
    """Reads a little-endian ELF program; anything else is an error."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF" or data[5:6] != b"\x01":
        raise BuildError(f"{path} is no program for Linux on these processors")
    try:
        return _parse(data)
    except (struct.error, ValueError) as error:
        raise BuildError(f"{path} is damaged: {error}") from error


def _parse(data: bytes) -> Program:
    bits = 64 if data[4] == 2 else 32
    machine = struct.unpack_from("<H", data, 18)[0]
    if bits == 64:
        table, (size, count) = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<HH", data, 54)
    else:
        table, (size, count) = struct.unpack_from("<I", data, 28)[0], struct.unpack_from("<HH", data, 42)
    segments = []
    for index in range(count):
        at = table + index * size
        if bits == 64:
            kind, _flags, offset, address, _physical, length = struct.unpack_from("<IIQQQQ", data, at)
        else:
            kind, offset, address, _physical, length = struct.unpack_from("<IIIII", data, at)
        segments.append((kind, offset, address, length))

    entries: list[tuple[int, int]] = []
    word = "<QQ" if bits == 64 else "<II"
    for kind, offset, _address, length in segments:
        if kind == _DYNAMIC_SEGMENT:
            entries = list(struct.iter_unpack(word, data[offset : offset + length]))
    values = dict(entries)
    if _STRING_TABLE not in values:
        return Program(machine, bits, (), (0, 0))

    start = _file_offset(segments, values[_STRING_TABLE])
    strings = data[start : start + values[_STRING_BYTES]]
    libraries = []
    for tag, value in entries:
        if tag == 0:
            break
        if tag == _NEEDED:
            libraries.append(strings[value : strings.index(b"\0", value)].decode())
    versions = [(int(a), int(b)) for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)", strings)]
    return Program(machine, bits, tuple(sorted(libraries)), max(versions, default=(0, 0)))


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for kind, offset, start, length in segments:
        if kind == _LOADED_SEGMENT and start <= address < start + length:
            return offset + address - start
    raise ValueError("the table of names is in no segment")
