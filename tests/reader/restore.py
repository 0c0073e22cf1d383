#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A second reader of the stored format, written from docs/format.md alone.

It exists to show that the document is enough, so it shares nothing with the engine and prefers being strict
to being fast: every chunk id, every length and every version is checked, and anything unknown is refused.

Reading order: the pure parts first (numbers, footers, tree chunks), then `Repository` (objects, keys, index,
chunks), then `Restorer` (the file system), then the command line.

Exit codes: 0 everything restored, 1 restored with errors (each is printed), 2 nothing could be started.
"""

import argparse
import base64
import json
import os
import re
import stat
import struct
import sys
from collections import OrderedDict, namedtuple
from datetime import datetime, timezone

import pyrage
import zstandard
from blake3 import blake3

MIB = 1 << 20
RAW_SIZE_MAX = 64 * MIB
COUNT_MAX = 1_048_576
DEPTH_MAX = 4
# The document sets no limit for index segments and JSON objects; this one only stops a decompression bomb.
OBJECT_RAW_SIZE_MAX = 2048 * MIB
PACK_CACHE_BYTES = 256 * MIB
FRAME_CACHE_BYTES = 64 * MIB

CLASS_DATA, CLASS_TREE = 1, 2
CLASS_NAMES = {CLASS_DATA: "data", CLASS_TREE: "tree"}

KIND_FILE, KIND_DIRECTORY, KIND_SYMLINK, KIND_FIFO, KIND_SOCKET, KIND_CHARACTER, KIND_BLOCK = range(1, 8)
KIND_LETTERS = {1: "-", 2: "d", 3: "l", 4: "p", 5: "s", 6: "c", 7: "b"}
FLAG_DEVICE, FLAG_XATTRS, FLAG_HARD_LINK, FLAG_HOLES, FLAG_NO_METADATA = 1, 2, 4, 8, 16
FLAGS_KNOWN = 31

ID_PATTERN = re.compile(r"[0-9a-f]{32}\Z")
HEX64_PATTERN = re.compile(r"[0-9a-f]{64}\Z")


class FormatError(Exception):
    """The repository does not say what docs/format.md says it should."""


class AccessError(Exception):
    """No key file could be opened, or the key does not reach far enough."""


def require(condition, text):
    if not condition:
        raise FormatError(text)


# --- numbers ---------------------------------------------------------------------------------------------------


class Cursor:
    """Reads the integers and byte strings of the format's head section from one buffer."""

    def __init__(self, data, what):
        self.data = data
        self.position = 0
        self.what = what

    def at_end(self):
        return self.position == len(self.data)

    def take(self, count):
        end = self.position + count
        require(end <= len(self.data), f"{self.what}: ends too early at byte {self.position}")
        piece = bytes(self.data[self.position : end])
        self.position = end
        return piece

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        value = 0
        for index in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                require(byte != 0 or index == 0, f"{self.what}: varint with a superfluous group")
                require(value < 1 << 64, f"{self.what}: varint above 64 bits")
                return value
        raise FormatError(f"{self.what}: varint longer than 10 bytes")

    def svarint(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def bytes(self):
        return self.take(self.varint())

    def finish(self):
        require(self.at_end(), f"{self.what}: {len(self.data) - self.position} bytes too many")


def decompress_all(data, what, size_max):
    """Every frame of `data`, skippable ones left out, as `zstd -d` would print it."""
    pieces, total = [], 0
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    try:
        while piece := reader.read(MIB):
            total += len(piece)
            require(total <= size_max, f"{what}: larger than {size_max} bytes")
            pieces.append(piece)
    except zstandard.ZstdError as error:
        raise FormatError(f"{what}: not a sequence of zstd frames: {error}") from error
    return b"".join(pieces)


# --- packs and index segments (sections 6 and 7) ---------------------------------------------------------------

Frame = namedtuple("Frame", "offset stored_size raw_size chunks")  # chunks: list of (id, offset, raw size)
Pack = namedtuple("Pack", "pack_id object_size age_header footer pack_class frames")


def parse_footer(footer, what):
    """(class, frames) from a footer payload without its trailer."""
    cursor = Cursor(footer, what)
    version = cursor.u8()
    require(version == 1, f"{what}: unknown version {version}")
    pack_class = cursor.u8()
    require(pack_class in CLASS_NAMES, f"{what}: unknown class {pack_class}")
    frame_count = cursor.varint()
    require(frame_count <= COUNT_MAX, f"{what}: too many frames")
    frames, frame_offset = [], 0
    for _ in range(frame_count):
        stored_size, raw_size, chunk_count = cursor.varint(), cursor.varint(), cursor.varint()
        require(raw_size <= RAW_SIZE_MAX, f"{what}: frame too large")
        require(chunk_count <= COUNT_MAX, f"{what}: too many chunks in a frame")
        chunks, chunk_offset = [], 0
        for _ in range(chunk_count):
            chunk_id, chunk_size = cursor.take(32), cursor.varint()
            require(0 < chunk_size <= RAW_SIZE_MAX, f"{what}: chunk size {chunk_size} not allowed")
            chunks.append((chunk_id, chunk_offset, chunk_size))
            chunk_offset += chunk_size
        require(chunk_offset == raw_size, f"{what}: chunks do not add up to their frame")
        frames.append(Frame(frame_offset, stored_size, raw_size, chunks))
        frame_offset += stored_size
    cursor.finish()
    return pack_class, frames


def footer_of_pack(plaintext, what):
    """The footer payload without its trailer, and where the footer starts, found from the end."""
    require(len(plaintext) >= 16 and plaintext[-4:] == b"DPK1", f"{what}: no footer at the end")
    (payload_size,) = struct.unpack("<I", plaintext[-8:-4])
    start = len(plaintext) - payload_size - 8
    require(payload_size >= 8 and start >= 0, f"{what}: footer size {payload_size} impossible")
    magic, size_again = struct.unpack("<II", plaintext[start : start + 8])
    require(magic == 0x184D2A5D, f"{what}: footer is not the expected skippable frame")
    require(size_again == payload_size, f"{what}: the two footer sizes differ")
    return bytes(plaintext[start + 8 : -8]), start


def age_header_of(data, what):
    """From the version line to the line feed after the header's check (the line that begins with `---`)."""
    require(data.startswith(b"age-encryption.org/v1\n"), f"{what}: not an age file")
    check = data.find(b"\n---", 0, 1 << 20)
    end = data.find(b"\n", check + 1, check + 200)
    require(check >= 0 and end >= 0, f"{what}: age header without an end")
    return bytes(data[: end + 1])


def parse_segment(content, what):
    cursor = Cursor(content, what)
    version = cursor.u8()
    require(version == 1, f"{what}: unknown version {version}")
    for _ in range(cursor.varint()):
        pack_id = cursor.take(16).hex()
        object_size, age_header, footer = cursor.varint(), cursor.bytes(), cursor.bytes()
        pack_class, frames = parse_footer(footer, f"{what}, pack {pack_id}")
        yield Pack(pack_id, object_size, age_header, footer, pack_class, frames)
    cursor.finish()


# --- trees (section 8) -----------------------------------------------------------------------------------------

ChunkList = namedtuple("ChunkList", "depth ids")
Owner = namedtuple("Owner", "uid gid user group")


class Entry:
    """One entry of a directory stream; the fields are those of section 8.2."""

    __slots__ = (
        "kind flags name mode owner mtime ctime inode device xattrs size content holes entries_below bytes_below target major minor"
    ).split()

    def has(self, flag):
        return bool(self.flags & flag)


def parse_chunk_list(cursor):
    depth, count = cursor.varint(), cursor.varint()
    return checked_chunk_list(depth, [cursor.take(32) for _ in range(count)], cursor.what)


def checked_chunk_list(depth, ids, what):
    require(0 <= depth <= DEPTH_MAX, f"{what}: chunk list of depth {depth}")
    require(depth == 0 or ids, f"{what}: empty chunk list of depth {depth}")
    return ChunkList(depth, ids)


def parse_tree_chunk(content, what):
    """All entries of one tree chunk. Owners and the device number start anew with each chunk."""
    cursor = Cursor(content, what)
    version = cursor.u8()
    require(version == 1, f"{what}: unknown version {version}")
    owners, device = [], 0
    while not cursor.at_end():
        entry_cursor = Cursor(cursor.take(cursor.varint()), what)
        entry = parse_entry(entry_cursor, owners, device)
        entry_cursor.finish()
        device = entry.device
        yield entry


def parse_time(cursor):
    seconds, nanoseconds = cursor.svarint(), cursor.varint()
    require(nanoseconds < 1_000_000_000, f"{cursor.what}: {nanoseconds} nanoseconds")
    return seconds * 1_000_000_000 + nanoseconds


def parse_entry(cursor, owners, device_before):
    entry = Entry()
    entry.kind, entry.flags = cursor.u8(), cursor.varint()
    require(entry.kind in KIND_LETTERS, f"{cursor.what}: unknown kind {entry.kind}")
    require(entry.flags & ~FLAGS_KNOWN == 0, f"{cursor.what}: unknown flags {entry.flags:#x}")
    entry.name = cursor.bytes()
    bad_name = entry.name in (b"", b".", b"..") or b"/" in entry.name or b"\0" in entry.name
    require(not bad_name, f"{cursor.what}: name {entry.name!r} not allowed")
    entry.mode = cursor.varint()
    require(entry.mode <= 0o7777, f"{cursor.what}: mode {entry.mode:o}")
    owner_number = cursor.varint()
    require(owner_number <= len(owners), f"{cursor.what}: owner {owner_number} was never given")
    if owner_number == len(owners):
        owners.append(Owner(cursor.varint(), cursor.varint(), cursor.bytes(), cursor.bytes()))
    entry.owner = owners[owner_number]
    entry.mtime, entry.ctime = parse_time(cursor), parse_time(cursor)
    entry.inode = cursor.varint()
    entry.device = cursor.varint() if entry.has(FLAG_DEVICE) else device_before
    entry.xattrs = []
    if entry.has(FLAG_XATTRS):
        entry.xattrs = [(cursor.bytes(), cursor.bytes()) for _ in range(cursor.varint())]
        names = [name for name, _ in entry.xattrs]
        require(all(a < b for a, b in zip(names, names[1:])), f"{cursor.what}: attributes not sorted")
    require(not entry.has(FLAG_HARD_LINK) or entry.kind != KIND_DIRECTORY, f"{cursor.what}: directory as hard link")
    require(not entry.has(FLAG_HOLES) or entry.kind == KIND_FILE, f"{cursor.what}: holes in something not a file")
    if entry.kind == KIND_FILE:
        entry.size = cursor.varint()
        entry.content = parse_chunk_list(cursor)
        entry.holes = parse_holes(cursor, entry.size) if entry.has(FLAG_HOLES) else []
    elif entry.kind == KIND_DIRECTORY:
        entry.content = parse_chunk_list(cursor)
        entry.entries_below, entry.bytes_below = cursor.varint(), cursor.varint()
    elif entry.kind == KIND_SYMLINK:
        entry.target = cursor.bytes()
    elif entry.kind in (KIND_CHARACTER, KIND_BLOCK):
        entry.major, entry.minor = cursor.varint(), cursor.varint()
    return entry


def parse_holes(cursor, size):
    """Absolute (start, length) of each hole."""
    holes, end = [], 0
    for _ in range(cursor.varint()):
        gap, length = cursor.varint(), cursor.varint()
        holes.append((end + gap, length))
        end += gap + length
        require(length > 0 and end <= size, f"{cursor.what}: hole beyond the end of the file")
    return holes


def data_spans(size, holes):
    """The (start, length) places between the holes, in order."""
    position = 0
    for start, length in holes:
        if start > position:
            yield position, start - position
        position = start + length
    if size > position:
        yield position, size - position


# --- the repository --------------------------------------------------------------------------------------------


class ByteCache:
    """Least recently used entries go first; the newest one always stays, however large."""

    def __init__(self, bytes_max):
        self.bytes_max, self.bytes_now, self.entries = bytes_max, 0, OrderedDict()

    def get(self, key, load):
        if key in self.entries:
            self.entries.move_to_end(key)
            return self.entries[key]
        value = load()
        self.entries[key] = value
        self.bytes_now += len(value)
        while self.bytes_now > self.bytes_max and len(self.entries) > 1:
            self.bytes_now -= len(self.entries.popitem(last=False)[1])
        return value


def read_json(data, what):
    try:
        value = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise FormatError(f"{what}: not JSON: {error}") from error
    require(isinstance(value, dict), f"{what}: not a JSON object")
    return value


def field(record, key, kind, what):
    value = record.get(key)
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    require(fits, f"{what}: {key} is missing or of the wrong type")
    return value


def chunk_list_of_json(record, what):
    ids = field(record, "ids", list, what)
    require(all(isinstance(i, str) and HEX64_PATTERN.match(i) for i in ids), f"{what}: ids are not 64 hex digits")
    return checked_chunk_list(field(record, "depth", int, what), [bytes.fromhex(i) for i in ids], what)


def path_of_json(value, what):
    if isinstance(value, str):
        return value.encode("utf-8")
    try:
        return base64.b64decode(value["base64"], validate=True)
    except (TypeError, KeyError, ValueError) as error:
        raise FormatError(f"{what}: neither text nor base64") from error


def time_of_text(text, what):
    """Nanoseconds since 1970 of an ISO 8601 time; `datetime` itself stops at microseconds."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", text)
    require(match, f"{what}: time {text!r} is not ISO 8601 in UTC")
    try:
        whole = datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise FormatError(f"{what}: {error}") from error
    return int(whole.timestamp()) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))


class Repository:
    def __init__(self, folder, open_key_file):
        """`open_key_file(bytes)` gives the plaintext of a key file or None."""
        self.folder = folder
        self.packs = {}
        self.places = {CLASS_DATA: {}, CLASS_TREE: {}}
        self.pack_cache = ByteCache(PACK_CACHE_BYTES)
        self.frame_cache = ByteCache(FRAME_CACHE_BYTES)
        self.warnings = []
        config, line, check = self.read_config()
        self.encrypted = config["encryption"] == "age"
        self.repository_id = config["repository_id"]
        self.data_identities, self.index_identities = [], []
        secret = self.open_keys(open_key_file) if self.encrypted else self.plain_secret(config)
        key = self.derive("config", secret)
        require(blake3(line, key=key).hexdigest() == check, "repository.json: the check line does not fit")
        self.id_keys = {
            CLASS_DATA: self.derive("data chunk id", secret),
            CLASS_TREE: self.derive("tree chunk id", secret),
        }

    @staticmethod
    def derive(use, secret):
        return blake3(secret, derive_key_context=f"duplicati engine v1 {use}").digest()

    # objects

    def read_object(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def list_objects(self, prefix):
        try:
            names = sorted(os.listdir(os.path.join(self.folder, prefix)))
        except FileNotFoundError:
            return []
        for name in names:
            if not ID_PATTERN.match(name):
                self.warnings.append(f"{prefix}/{name}: foreign, left alone")
        return [name for name in names if ID_PATTERN.match(name)]

    def list_packs(self):
        found = []
        packs = os.path.join(self.folder, "packs")
        for first in sorted(os.listdir(packs)) if os.path.isdir(packs) else []:
            if re.fullmatch("[0-9a-f]{2}", first):
                found += [name for name in self.list_objects(f"packs/{first}") if name.startswith(first)]
        return found

    def open_object(self, name, identities):
        """The plaintext below the age layer, and the age header."""
        return self.decrypt(self.read_object(name), name, identities)

    def decrypt(self, data, name, identities):
        if not self.encrypted:
            return data
        try:
            return pyrage.decrypt(data, identities)
        except pyrage.DecryptError as error:
            raise FormatError(f"{name}: cannot be decrypted: {error}") from error

    # config and keys (sections 3 and 4)

    def read_config(self):
        what = "repository.json"
        lines = self.read_object(what).split(b"\n")
        require(len(lines) == 3 and lines[2] == b"", f"{what}: not two lines")
        config = read_json(lines[0], what)
        require(config.get("format") == "duplicati-engine", f"{what}: unknown format {config.get('format')!r}")
        version = field(config, "version", int, what)
        require(version == 1, f"{what}: unknown version {version}")
        require(config.get("encryption") in ("age", "none"), f"{what}: unknown encryption {config.get('encryption')!r}")
        algorithm = field(config, "chunking", dict, what).get("algorithm")
        require(algorithm == "fastcdc-2020-keyed", f"{what}: unknown chunking {algorithm!r}")
        require(ID_PATTERN.match(field(config, "repository_id", str, what)), f"{what}: repository_id malformed")
        check = lines[1].decode("ascii", "replace")
        require(HEX64_PATTERN.match(check), f"{what}: check line malformed")
        return config, lines[0], check

    @staticmethod
    def secret_of(record, what):
        secret = field(record, "secret", str, what)
        require(HEX64_PATTERN.match(secret), f"{what}: secret is not 64 hexadecimal digits")
        return bytes.fromhex(secret)

    def plain_secret(self, config):
        return self.secret_of(config, "repository.json")

    def open_keys(self, open_key_file):
        """Takes the first key that can read data, else the first that opens at all."""
        chosen, reasons = None, []
        for name in self.list_objects("keys"):
            what = f"keys/{name}"
            plaintext = open_key_file(self.read_object(what))
            if plaintext is None:
                continue
            try:
                key = self.checked_key(read_json(plaintext, what), what)
            except FormatError as error:
                reasons.append(str(error))
                continue
            if chosen is None or (not chosen[0]["data_identities"] and key["data_identities"]):
                chosen = key, what
        if chosen is None:
            raise AccessError("; ".join(reasons) or "no key file opens with this passphrase or identity")
        key, what = chosen
        try:
            parse = pyrage.x25519.Identity.from_str
            self.data_identities = [parse(text) for text in key["data_identities"]]
            self.index_identities = [parse(text) for text in key["index_identities"]]
        except (pyrage.IdentityError, TypeError) as error:
            raise FormatError(f"{what}: an identity is malformed") from error
        return self.secret_of(key, what)

    def checked_key(self, key, what):
        version = field(key, "version", int, what)
        require(version == 1, f"{what}: unknown version {version}")
        require(key.get("repository_id") == self.repository_id, f"{what}: belongs to another repository")
        require(key.get("kind") in ("full", "write-only"), f"{what}: unknown kind {key.get('kind')!r}")
        field(key, "data_identities", list, what)
        field(key, "index_identities", list, what)
        return key

    # snapshots (section 9)

    def snapshots(self, only=None):
        """(time, id, manifest), oldest first. A fence is opened like the rest: its kind stands inside.
        With `only`, the others are not opened, so that damage in one of them does not bar the way to this one."""
        if self.encrypted and not self.data_identities:
            raise AccessError("this key is write-only: it opens no snapshot")
        found = []
        for name in self.list_objects("snapshots"):
            if only not in (None, name):
                continue
            what = f"snapshots/{name}"
            plaintext = self.open_object(what, self.data_identities + self.index_identities)
            record = read_json(decompress_all(plaintext, what, OBJECT_RAW_SIZE_MAX), what)
            version = field(record, "version", int, what)
            require(version == 1, f"{what}: unknown version {version}")
            kind = field(record, "kind", str, what)
            # Objects of before lack it.
            require(record.get("id", name) == name, f"{what}: is a copy of {record.get('id')}")
            if kind == "fence":
                continue
            require(kind == "manifest", f"{what}: unknown kind {kind!r}")
            require(record.get("repository_id") == self.repository_id, f"{what}: belongs to another repository")
            found.append((time_of_text(field(record, "time", str, what), what), name, record))
        return sorted(found, key=lambda item: item[:2])

    # index (section 7)

    def load_index(self):
        for name in self.list_objects("index"):
            what = f"index/{name}"
            plaintext = self.open_object(what, self.index_identities)
            for pack in parse_segment(decompress_all(plaintext, what, OBJECT_RAW_SIZE_MAX), what):
                self.add_pack(pack)

    def load_footers(self):
        """The same table without any index segment. A pack that cannot be read is reported and passed over."""
        for pack_id in self.list_packs():
            name = f"packs/{pack_id[:2]}/{pack_id}"
            try:
                data = self.read_object(name)
                header = age_header_of(data, name) if self.encrypted else b""
                footer, _ = footer_of_pack(self.decrypt(data, name, self.data_identities), name)
                pack_class, frames = parse_footer(footer, name)
                self.add_pack(Pack(pack_id, len(data), header, footer, pack_class, frames))
            except FormatError as error:
                self.warnings.append(f"passed over: {error}")

    def add_pack(self, pack):
        known = self.packs.get(pack.pack_id)
        if known is not None:
            require(known[:4] == pack[:4], f"pack {pack.pack_id}: two segments describe it differently")
            return
        self.packs[pack.pack_id] = pack
        places = self.places[pack.pack_class]
        for frame_number, frame in enumerate(pack.frames):
            for chunk_id, offset, size in frame.chunks:
                places.setdefault(chunk_id, []).append((pack.pack_id, frame_number, offset, size))

    # chunks (sections 5 and 6)

    def load_pack(self, pack):
        name = f"packs/{pack.pack_id[:2]}/{pack.pack_id}"
        try:
            data = self.read_object(name)
        except FileNotFoundError as error:
            raise FormatError(f"{name}: missing") from error
        require(len(data) == pack.object_size, f"{name}: {len(data)} bytes, the index says {pack.object_size}")
        if self.encrypted:
            require(age_header_of(data, name) == pack.age_header, f"{name}: age header differs from the index")
        else:
            require(pack.age_header == b"", f"{name}: the index has an age header for an unencrypted pack")
        plaintext = self.decrypt(data, name, self.data_identities)
        footer, frames_end = footer_of_pack(plaintext, name)
        require(footer == pack.footer, f"{name}: footer differs from the index")
        stored = sum(frame.stored_size for frame in pack.frames)
        require(stored == frames_end, f"{name}: frames do not end where the footer begins")
        return plaintext

    def load_frame(self, pack, frame_number):
        what = f"packs/{pack.pack_id[:2]}/{pack.pack_id}, frame {frame_number}"
        plaintext = self.pack_cache.get(pack.pack_id, lambda: self.load_pack(pack))
        frame = pack.frames[frame_number]
        stored = plaintext[frame.offset : frame.offset + frame.stored_size]
        try:
            declared = zstandard.get_frame_parameters(stored).content_size
            require(declared == frame.raw_size, f"{what}: content size in the zstd header is {declared}")
            decompressor = zstandard.ZstdDecompressor().decompressobj()
            raw = decompressor.decompress(stored)
        except zstandard.ZstdError as error:
            raise FormatError(f"{what}: {error}") from error
        complete = decompressor.eof and not decompressor.unused_data
        require(complete and len(raw) == frame.raw_size, f"{what}: not exactly one zstd frame of the stated size")
        return raw

    def chunk(self, chunk_class, chunk_id):
        """The chunk's bytes, from the first place that holds them undamaged."""
        problem = None
        for pack_id, frame_number, offset, size in self.places[chunk_class].get(chunk_id, ()):
            try:
                pack = self.packs[pack_id]
                raw = self.frame_cache.get((pack_id, frame_number), lambda: self.load_frame(pack, frame_number))
                content = raw[offset : offset + size]
                actual = blake3(content, key=self.id_keys[chunk_class]).digest()
                require(actual == chunk_id, f"pack {pack_id}: {CLASS_NAMES[chunk_class]} chunk {chunk_id.hex()} is damaged")
                return content
            except FormatError as error:
                problem = error
        raise problem or FormatError(f"{CLASS_NAMES[chunk_class]} chunk {chunk_id.hex()} is in no pack")

    def chunks(self, chunk_list, chunk_class):
        """The chunks a list names, in order. List chunks lie in tree packs whatever they list."""
        levels = [iter(chunk_list.ids)]
        while levels:
            chunk_id = next(levels[-1], None)
            if chunk_id is None:
                levels.pop()
            elif len(levels) <= chunk_list.depth:
                listed = self.chunk(CLASS_TREE, chunk_id)
                require(len(listed) % 32 == 0, f"list chunk {chunk_id.hex()}: {len(listed)} bytes")
                levels.append(listed[i : i + 32] for i in range(0, len(listed), 32))
            else:
                yield self.chunk(chunk_class, chunk_id)

    def entries(self, chunk_list):
        """The entries of a directory, with their order checked over all of its chunks."""
        before = b""
        for content in self.chunks(chunk_list, CLASS_TREE):
            for entry in parse_tree_chunk(content, "tree chunk"):
                require(before < entry.name, f"directory stream: {entry.name!r} out of order")
                before = entry.name
                yield entry


# --- the file system -------------------------------------------------------------------------------------------


class Node:
    """A directory of the restored tree; the chain of parents replaces path names, which may exceed PATH_MAX."""

    __slots__ = ("name", "parent", "entry", "children", "entries_below")

    def __init__(self, name, parent, entry):
        self.name, self.parent, self.entry = name, parent, entry
        self.children, self.entries_below = [], 0

    def names(self):
        names, node = [], self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return names[::-1]

    def path(self, name=None):
        names = self.names() + ([name] if name is not None else [])
        return printable(b"/".join(names))


def printable(data):
    return data.decode("utf-8", "backslashreplace")


class Restorer:
    """Two walks: the first makes everything with directories at mode 0700, the second gives directories their
    metadata from the bottom up. Only one directory is open at a time, so depth is not bound by descriptors."""

    DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

    def __init__(self, repository, target):
        self.repository = repository
        self.is_root = os.geteuid() == 0
        self.umask = os.umask(0)
        self.errors = 0
        self.counts = {"files": 0, "directories": 0, "others": 0, "bytes": 0}
        self.links = {}  # (device, inode) -> (node, entry)
        os.makedirs(target, mode=0o777 & ~self.umask, exist_ok=True)
        self.root_fd = os.open(target, self.DIRECTORY & ~os.O_NOFOLLOW)
        if os.listdir(self.root_fd):
            raise AccessError(f"{target}: is not empty")

    def problem(self, path, error):
        self.errors += 1
        print(f"error: {path}: {error}", file=sys.stderr)

    def run(self, root):
        tree = Node(b"", None, None)
        self.create_all(tree, root)
        self.finish_directories(tree)
        os.close(self.root_fd)

    def go_up(self, directory_fd):
        parent = os.open("..", self.DIRECTORY, dir_fd=directory_fd)
        os.close(directory_fd)
        return parent

    # first walk

    def create_all(self, tree, root):
        node, fd = tree, os.dup(self.root_fd)
        stack = [self.repository.entries(root)]
        while stack:
            entry = self.next_entry(node, stack[-1])
            if entry is None:
                stack.pop()
                if node.parent is not None:
                    self.check_below(node)
                    node.parent.entries_below += node.entries_below
                    node, fd = node.parent, self.go_up(fd)
                continue
            node.entries_below += 1
            try:
                if entry.kind != KIND_DIRECTORY:
                    self.create(fd, node, entry)
                    continue
                os.mkdir(entry.name, 0o700, dir_fd=fd)
                child_fd = os.open(entry.name, self.DIRECTORY, dir_fd=fd)
            except (OSError, FormatError) as error:
                self.problem(node.path(entry.name), error)
                continue
            os.close(fd)
            child = Node(entry.name, node, entry)
            node.children.append(child)
            self.counts["directories"] += 1
            node, fd = child, child_fd
            stack.append(self.repository.entries(entry.content))
        os.close(fd)

    def next_entry(self, node, entries):
        try:
            return next(entries, None)
        except FormatError as error:
            self.problem(node.path(), f"directory cannot be read further: {error}")
            return None

    def check_below(self, node):
        stated = node.entry.entries_below
        # The stated number may include what is lost; only without errors must the two agree.
        if not self.errors and stated != node.entries_below:
            self.problem(node.path(), f"holds {node.entries_below} entries, its entry says {stated}")

    def create(self, fd, node, entry):
        group = (entry.device, entry.inode) if entry.has(FLAG_HARD_LINK) else None
        if group in self.links:
            return self.create_link(fd, node, entry, *self.links[group])
        if entry.kind == KIND_FILE:
            self.create_file(fd, entry)
        elif not self.create_other(fd, node, entry):
            return None
        if not entry.has(FLAG_NO_METADATA):
            self.set_metadata(fd, node, entry)
        elif entry.kind not in (KIND_FILE, KIND_SYMLINK):
            os.chmod(entry.name, 0o666 & ~self.umask, dir_fd=fd)
        if group is not None:
            self.links[group] = node, entry
        self.counts["files" if entry.kind == KIND_FILE else "others"] += 1
        return None

    def create_link(self, fd, node, entry, first_node, first):
        require(first.kind == entry.kind, "hard link group of different kinds")
        if entry.kind == KIND_FILE:
            same = (first.size, first.content, first.holes) == (entry.size, entry.content, entry.holes)
            if not same:
                self.problem(node.path(entry.name), f"content differs from its other name {first_node.path(first.name)}, which is used")
        if first_node is node:
            os.link(first.name, entry.name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
        else:
            first_fd = self.open_node(first_node)
            try:
                os.link(first.name, entry.name, src_dir_fd=first_fd, dst_dir_fd=fd, follow_symlinks=False)
            finally:
                os.close(first_fd)
        self.counts["files" if entry.kind == KIND_FILE else "others"] += 1

    def open_node(self, node):
        fd = os.dup(self.root_fd)
        for name in node.names():
            below = os.open(name, self.DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        return fd

    def create_file(self, fd, entry):
        mode = 0o666 & ~self.umask if entry.has(FLAG_NO_METADATA) else 0o600
        file_fd = os.open(entry.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
        try:
            self.write_content(file_fd, entry)
        except (OSError, FormatError):
            os.unlink(entry.name, dir_fd=fd)
            raise
        finally:
            os.close(file_fd)

    def write_content(self, file_fd, entry):
        os.ftruncate(file_fd, entry.size)
        spans = data_spans(entry.size, entry.holes)
        position, room = 0, 0
        for content in self.repository.chunks(entry.content, CLASS_DATA):
            view = memoryview(content)
            while view:
                if room == 0:
                    position, room = next(spans, (0, 0))
                    require(room > 0, f"more stored data than its size {entry.size} has room for")
                written = os.pwrite(file_fd, view[:room], position)
                view, position, room = view[written:], position + written, room - written
            self.counts["bytes"] += len(content)
        require(room == 0 and next(spans, None) is None, f"less stored data than its size {entry.size} needs")

    def create_other(self, fd, node, entry):
        if entry.kind == KIND_SYMLINK:
            os.symlink(entry.target, entry.name, dir_fd=fd)
        elif entry.kind == KIND_FIFO:
            os.mkfifo(entry.name, 0o600, dir_fd=fd)
        elif entry.kind == KIND_SOCKET:
            os.mknod(entry.name, stat.S_IFSOCK | 0o600, dir_fd=fd)
        else:
            if not self.is_root:
                print(f"warning: {node.path(entry.name)}: devices need root, left out", file=sys.stderr)
                return False
            kind = stat.S_IFCHR if entry.kind == KIND_CHARACTER else stat.S_IFBLK
            os.mknod(entry.name, kind | 0o600, os.makedev(entry.major, entry.minor), dir_fd=fd)
        return True

    # metadata

    def set_metadata(self, fd, node, entry):
        """For everything but directories. Order matters: a new owner clears set-id bits and capabilities, a mode
        without write permission forbids attributes, and every step touches the times."""
        if self.is_root:
            os.chown(entry.name, entry.owner.uid, entry.owner.gid, dir_fd=fd, follow_symlinks=False)
        # No call sets an attribute relative to a directory; the descriptor's name in /proc serves as a short path.
        self.set_xattrs(b"/proc/self/fd/%d/%s" % (fd, entry.name), node.path(entry.name), entry, follow_symlinks=False)
        if entry.kind != KIND_SYMLINK:
            os.chmod(entry.name, entry.mode, dir_fd=fd)
        os.utime(entry.name, ns=(entry.mtime, entry.mtime), dir_fd=fd, follow_symlinks=False)

    def set_xattrs(self, where, path, entry, **how):
        for name, value in entry.xattrs:
            try:
                os.setxattr(where, name, value, **how)
            except OSError as error:
                print(f"warning: {path}: attribute {printable(name)}: {error.strerror}", file=sys.stderr)

    # second walk

    def finish_directories(self, tree):
        node, fd = tree, os.dup(self.root_fd)
        stack = [iter(tree.children)]
        while stack:
            child = next(stack[-1], None)
            if child is not None:
                below = os.open(child.name, self.DIRECTORY, dir_fd=fd)
                os.close(fd)
                node, fd = child, below
                stack.append(iter(child.children))
                continue
            stack.pop()
            if node.parent is not None:
                # The way up is opened first: the final mode may forbid it.
                above = os.open("..", self.DIRECTORY, dir_fd=fd)
                try:
                    self.finish_directory(fd, node)
                except OSError as error:
                    self.problem(node.path(), error)
                os.close(fd)
                node, fd = node.parent, above
        os.close(fd)

    def finish_directory(self, fd, node):
        entry = node.entry
        if entry.has(FLAG_NO_METADATA):
            os.chmod(fd, 0o777 & ~self.umask)
            return
        if self.is_root:
            os.chown(fd, entry.owner.uid, entry.owner.gid)
        self.set_xattrs(fd, node.path(), entry)
        os.chmod(fd, entry.mode)
        os.utime(fd, ns=(entry.mtime, entry.mtime))


# --- command line ----------------------------------------------------------------------------------------------


def key_opener(options):
    if options.passphrase_file:
        with open(options.passphrase_file, encoding="utf-8", newline="") as file:
            passphrase = re.sub(r"\r?\n\Z", "", file.read())

        def open_with_passphrase(data):
            try:
                return pyrage.passphrase.decrypt(data, passphrase)
            except pyrage.DecryptError:
                return None

        return open_with_passphrase
    identities = read_identities(options.identity) if options.identity else []

    def open_with_identities(data):
        try:
            return pyrage.decrypt(data, identities) if identities else None
        except pyrage.DecryptError:
            return None

    return open_with_identities


def read_identities(path):
    with open(path, "rb") as file:
        data = file.read()
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode("utf-8").splitlines()]
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, ValueError) as error:
        raise AccessError(f"{path}: not an identity file: {error}") from error


def choose(snapshots, wanted):
    if wanted == "newest":
        if not snapshots:
            raise AccessError("the repository holds no snapshot")
        return snapshots[-1]
    for snapshot in snapshots:
        if snapshot[1] == wanted:
            return snapshot
    raise AccessError(f"there is no snapshot {wanted}")


def print_snapshots(snapshots):
    for _, name, manifest in snapshots:
        sources = " ".join(printable(path_of_json(path, f"snapshots/{name}")) for path in manifest.get("sources", []))
        state = "complete" if manifest.get("complete") else "partial"
        print(f"{name} {manifest['time']} {state} {sources}")


def print_entries(repository, root):
    stack, names = [repository.entries(root)], []
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            names = names[:-1]
            continue
        size = entry.size if entry.kind == KIND_FILE else 0
        line = b"/".join(names + [entry.name])
        print(f"{KIND_LETTERS[entry.kind]} {entry.mode:04o} {entry.owner.uid}:{entry.owner.gid} {size} {printable(line)}")
        if entry.kind == KIND_DIRECTORY:
            stack.append(repository.entries(entry.content))
            names = names + [entry.name]


def write_control_files(repository, manifest, folder, what):
    os.makedirs(folder, exist_ok=True)
    for record in manifest.get("control_files", []):
        name = path_of_json(record.get("name"), what)
        require(name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name, f"{what}: control file name {name!r}")
        content = b"".join(repository.chunks(chunk_list_of_json(record, what), CLASS_DATA))
        require(len(content) == field(record, "size", int, what), f"{what}: control file {name!r} has another size")
        with open(os.path.join(os.fsencode(folder), name), "xb") as file:
            file.write(content)


def parse_options():
    parser = argparse.ArgumentParser(description="Restores a snapshot, by docs/format.md alone.")
    parser.add_argument("repository")
    parser.add_argument("target", nargs="?", help="a new or empty folder")
    way_in = parser.add_mutually_exclusive_group()
    way_in.add_argument("--passphrase-file", help="its first line ending at the end is not part of the passphrase")
    way_in.add_argument("--identity", help="age identity file or ssh private key")
    parser.add_argument("--snapshot", help="ID or newest (the default)")
    parser.add_argument("--list", action="store_true", help="print the snapshots, or with --snapshot its entries; restore nothing")
    parser.add_argument("--without-index", action="store_true", help="rebuild the index from the packs")
    parser.add_argument("--control-files", metavar="FOLDER", help="also write the snapshot's control files there")
    options = parser.parse_args()
    if not options.list and options.target is None:
        parser.error("a target folder is needed, unless with --list")
    return options


def run(options):
    repository = Repository(options.repository, key_opener(options))
    snapshots = repository.snapshots(None if options.snapshot == "newest" else options.snapshot)
    if options.list and options.snapshot is None:
        print_snapshots(snapshots)
        return 0
    _, name, manifest = choose(snapshots, options.snapshot or "newest")
    what = f"snapshots/{name}"
    if options.without_index:
        repository.load_footers()
    else:
        repository.load_index()
    for warning in repository.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    root = chunk_list_of_json(field(manifest, "root", dict, what), what)
    if options.list:
        print_entries(repository, root)
        return 0
    if manifest.get("complete") is not True:
        print(f"warning: snapshot {name} is partial", file=sys.stderr)
    restorer = Restorer(repository, options.target)
    restorer.run(root)
    if options.control_files:
        write_control_files(repository, manifest, options.control_files, what)
    counts = ", ".join(f"{number} {noun}" for noun, number in restorer.counts.items())
    print(f"snapshot {name}: {counts}, {restorer.errors} errors")
    return 1 if restorer.errors else 0


def main():
    options = parse_options()
    try:
        return run(options)
    except (FormatError, AccessError, OSError) as error:
        print(f"restore.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
