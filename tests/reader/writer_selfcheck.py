#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes minimal repositories by docs/format.md alone and lets restore.py read them.

Shows that the document is enough in both directions before any other writer exists. It shares no code with
restore.py, so that one misreading cannot hide in both. Run it with the packages of requirements.txt; it prints
one line per check and ends with 1 at the first that fails.
"""

import copy
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

import pyrage
import zstandard
from blake3 import blake3

HERE = os.path.dirname(os.path.abspath(__file__))
PASSPHRASE = "correct horse ä"
DEEP_LEVELS = 1000
MTIME = (1_600_000_000, 123_456_789)
MTIME_BEFORE_1970 = (-2, 250_000_000)
HOLE_START, HOLE_LENGTH, TAIL = 1 << 20, 4 << 20, b"after the hole"
TIME = "2026-01-02T03:04:05.123456789Z"


# --- section head: numbers -------------------------------------------------------------------------------------


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def svarint(value):
    return varint((value << 1) ^ (value >> 63))


def blob(data):
    return varint(len(data)) + data


# --- sections 2 to 7: objects, keys, packs, index --------------------------------------------------------------


class Writer:
    def __init__(self, folder, encrypted):
        self.folder, self.encrypted = folder, encrypted
        self.secret, self.repository_id = os.urandom(32), os.urandom(16).hex()
        self.data_identity, self.index_identity = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
        self.open_identity = pyrage.x25519.Identity.generate()
        self.frames = {1: [], 2: []}
        self.described = []
        self.write_config()
        if encrypted:
            self.write_keys()

    def key(self, use):
        return blake3(self.secret, derive_key_context="duplicati engine v1 " + use).digest()

    def put(self, name, data):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)

    def seal(self, plaintext, identity):
        return pyrage.encrypt(plaintext, [identity.to_public()]) if self.encrypted else plaintext

    def write_config(self):
        sizes = {"size_bytes_min": 524288, "size_bytes_average": 1048576, "size_bytes_max": 8388608, "normalization": 1}
        config = {
            "format": "duplicati-engine",
            "version": 1,
            "repository_id": self.repository_id,
            "encryption": "age" if self.encrypted else "none",
            "chunking": {"algorithm": "fastcdc-2020-keyed", **sizes},
            "created": TIME,
            "unknown_key": "is ignored",
        }
        if not self.encrypted:
            config["secret"] = self.secret.hex()
        line = json.dumps(config).encode()
        check = blake3(line, key=self.key("config")).hexdigest().encode()
        self.put("repository.json", line + b"\n" + check + b"\n")

    def write_keys(self):
        full = {
            "version": 1,
            "repository_id": self.repository_id,
            "kind": "full",
            "label": "test",
            "created": TIME,
            "data_identities": [str(self.data_identity)],
            "data_recipient": str(self.data_identity.to_public()),
            "index_identities": [str(self.index_identity)],
            "index_recipient": str(self.index_identity.to_public()),
            "secret": self.secret.hex(),
        }
        write_only = copy.deepcopy(full)
        write_only.update(kind="write-only", data_identities=[])
        public = self.open_identity.to_public()
        self.put("keys/" + "0" * 32, pyrage.encrypt(json.dumps(write_only).encode(), [public]))
        self.put("keys/" + "1" * 32, pyrage.encrypt(json.dumps(full).encode(), [public]))
        self.put("keys/" + "2" * 32, pyrage.passphrase.encrypt(json.dumps(full).encode(), PASSPHRASE))

    def add(self, pack_class, chunks):
        """One frame with these chunks; gives their ids."""
        use = {1: "data chunk id", 2: "tree chunk id"}[pack_class]
        ids = [blake3(chunk, key=self.key(use)).digest() for chunk in chunks]
        raw = b"".join(chunks)
        stored = zstandard.ZstdCompressor(level=3, write_content_size=True).compress(raw)
        record = varint(len(stored)) + varint(len(raw)) + varint(len(chunks))
        record += b"".join(chunk_id + varint(len(chunk)) for chunk_id, chunk in zip(ids, chunks))
        self.frames[pack_class].append((stored, record))
        return ids

    def finish_pack(self, pack_class):
        frames, self.frames[pack_class] = self.frames[pack_class], []
        payload = bytes([1, pack_class]) + varint(len(frames)) + b"".join(record for _, record in frames)
        size = struct.pack("<I", len(payload) + 8)
        footer = struct.pack("<I", 0x184D2A5D) + size + payload + size + b"DPK1"
        stored = self.seal(b"".join(stored for stored, _ in frames) + footer, self.data_identity)
        pack_id = os.urandom(16)
        self.put(f"packs/{pack_id.hex()[:2]}/{pack_id.hex()}", stored)
        header = b""
        if self.encrypted:
            end = stored.index(b"\n", stored.index(b"\n--- ") + 1) + 1
            header = stored[:end]
        self.described.append(pack_id + varint(len(stored)) + blob(header) + blob(payload))

    def write_segment(self, described):
        content = b"\x01" + varint(len(described)) + b"".join(described)
        half = len(content) // 2
        frames = b"".join(zstandard.compress(part) for part in (content[:half], content[half:]))
        self.put("index/" + os.urandom(16).hex(), self.seal(frames, self.index_identity))

    def write_manifest(self, name, root, complete=True, **more):
        manifest = {
            "version": 1,
            "kind": "manifest",
            "id": name,
            "repository_id": self.repository_id,
            "time": TIME,
            "finished": TIME,
            "host": "h",
            "user": "u",
            "program": "p",
            "name": "job",
            "tags": [],
            "sources": ["/top", {"base64": "L/8="}],
            "complete": complete,
            "root": {"depth": root[0], "ids": [i.hex() for i in root[1]]},
            "parent": None,
            "totals": {},
            "statistics": {},
            "control_files": [],
        }
        manifest.update(more)
        self.put("snapshots/" + name, self.seal(zstandard.compress(json.dumps(manifest).encode()), self.data_identity))

    def write_fence(self):
        fence = json.dumps({"version": 1, "kind": "fence", "plan": "f" * 32}).encode()
        self.put("snapshots/" + "f" * 32, self.seal(zstandard.compress(fence), self.index_identity))


# --- section 8: trees ------------------------------------------------------------------------------------------


def chunk_list(depth, ids):
    return varint(depth) + varint(len(ids)) + b"".join(ids)


class TreeChunk:
    """Entries of one tree chunk; keeps the owners and the device number that later entries may refer to."""

    def __init__(self):
        self.content, self.owners, self.device = b"\x01", [], 0

    def add(self, kind, name, tail, *, mode=0o644, owner=None, mtime=MTIME, inode=1, device=7, xattrs=(), flags=0):
        owner = owner or (os.geteuid(), os.getegid(), b"user", b"group")
        flags |= (1 if device != self.device else 0) | (2 if xattrs else 0)
        body = bytes([kind]) + varint(flags) + blob(name) + varint(mode)
        if owner in self.owners:
            body += varint(self.owners.index(owner))
        else:
            body += varint(len(self.owners)) + varint(owner[0]) + varint(owner[1]) + blob(owner[2]) + blob(owner[3])
            self.owners.append(owner)
        body += svarint(mtime[0]) + varint(mtime[1]) + svarint(1) + varint(2) + varint(inode)
        if device != self.device:
            body += varint(device)
            self.device = device
        if xattrs:
            body += varint(len(xattrs)) + b"".join(blob(n) + blob(v) for n, v in xattrs)
        self.content += blob(body + tail)


def file_tail(size, ids, depth=0, holes=()):
    tail = varint(size) + chunk_list(depth, ids)
    if holes:
        tail += varint(len(holes)) + b"".join(varint(gap) + varint(length) for gap, length in holes)
    return tail


def directory_tail(ids, entries, size):
    return chunk_list(0, ids) + varint(entries) + varint(size)


def write_deep_folder(writer):
    """A chain of folders whose path name is far beyond PATH_MAX, with one file at its end."""
    body = writer.add(1, [b"down here"])
    tree = TreeChunk()
    tree.add(1, b"bottom", file_tail(9, body))
    ids = writer.add(2, [tree.content])
    for level in range(1, DEEP_LEVELS):
        tree = TreeChunk()
        tree.add(2, b"level" * 4, directory_tail(ids, level, 9), mode=0o750)
        ids = writer.add(2, [tree.content])
    return directory_tail(ids, DEEP_LEVELS, 9)


def other_owner():
    return (12345, 23456, b"", b"") if os.geteuid() == 0 else None


def write_sample(writer):
    """The sample tree; returns its root chunk list and the file that has the pieces of the indirect list."""
    pieces = [os.urandom(70_000), b"b" * 100, os.urandom(3)]
    piece_ids = writer.add(1, pieces[:2]) + writer.add(1, pieces[2:])
    listed = writer.add(2, [piece_ids[0] + piece_ids[1], piece_ids[2]])
    sparse = b"s" * HOLE_START + TAIL
    sparse_ids = writer.add(1, [sparse])
    linked = writer.add(1, [b"two names"])
    writer.finish_pack(1)
    deep = write_deep_folder(writer)

    first, second, inner = TreeChunk(), TreeChunk(), TreeChunk()
    inner.add(1, b"a-link", file_tail(9, linked), flags=4, inode=50)
    inner_ids = writer.add(2, [inner.content])

    xattrs = [(b"user.a", b"1"), (b"user.b", b"\0\xff")]
    first.add(2, b"closed", directory_tail(inner_ids, 1, 9), mode=0o1500, mtime=MTIME_BEFORE_1970, xattrs=xattrs)
    first.add(2, b"deep", deep, mode=0o755)
    first.add(2, b"empty", directory_tail([], 0, 0), mode=0o755)
    first.add(1, b"empty-file", file_tail(0, []), mode=0o4755, owner=other_owner())
    first.add(4, b"fifo", b"", mode=0o600)
    second.add(1, b"indirect", file_tail(70_103, listed, depth=1), mode=0o400, owner=other_owner(), xattrs=xattrs[:1])
    second.add(1, b"linked", file_tail(9, linked), flags=4, inode=50)
    if os.geteuid() == 0:
        second.add(6, b"null", varint(1) + varint(3), mode=0o666)
    second.add(1, b"only-a-hole", file_tail(HOLE_LENGTH, [], holes=[(0, HOLE_LENGTH)]), flags=8)
    second.add(5, b"socket", b"", mode=0o600)
    whole = HOLE_START + HOLE_LENGTH + len(TAIL)
    second.add(1, b"sparse", file_tail(whole, sparse_ids, holes=[(HOLE_START, HOLE_LENGTH)]), flags=8, device=8)
    second.add(3, b"symlink", blob(b"no/such\xff"), mode=0o777, owner=other_owner())
    second.add(1, b"untouched", file_tail(9, linked), flags=16, mode=0, mtime=(0, 0), owner=(0, 0, b"", b""))
    second.add(1, b"\xff not text", file_tail(100, [piece_ids[1]]))
    top_ids = writer.add(2, [first.content]) + writer.add(2, [second.content])

    root = TreeChunk()
    size = 9 + 9 + 70_103 + 9 + HOLE_LENGTH + whole + 9 + 100
    root.add(2, b"top", directory_tail(top_ids, 1 + DEEP_LEVELS + (14 if os.geteuid() == 0 else 13), size), mode=0o750)
    root_list = writer.add(2, [b"".join(writer.add(2, [root.content]))])
    writer.finish_pack(2)
    return (1, root_list), b"".join(pieces)


def write_repository(folder, encrypted):
    writer = Writer(folder, encrypted)
    root, indirect = write_sample(writer)
    control = writer.add(1, [b"settings"])
    writer.finish_pack(1)
    # Every pack twice over two segments, with one repeated: "always the same way".
    writer.write_segment(writer.described[:2])
    writer.write_segment(writer.described[1:])
    writer.write_manifest("a" * 32, (0, []), complete=False, time="2025-12-31T00:00:00Z")
    controls = [{"name": "job.json", "depth": 0, "ids": [control[0].hex()], "size": 8}]
    writer.write_manifest("b" * 32, root, control_files=controls)
    writer.write_fence()
    writer.put("snapshots/NAME.tmp-0123456789abcdef", b"broken upload")
    if encrypted:
        with open(folder + ".passphrase", "w", encoding="utf-8") as file:
            file.write(PASSPHRASE + "\n")
        with open(folder + ".identity", "w", encoding="utf-8") as file:
            file.write(f"# comment\n{writer.open_identity}\n")
        with open(folder + ".data-identity", "w", encoding="utf-8") as file:
            file.write(f"{writer.data_identity}\n")
    return writer, indirect


# --- checks ----------------------------------------------------------------------------------------------------


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}")
        sys.exit(1)


def restore(repository, target, *options):
    command = [sys.executable, os.path.join(HERE, "restore.py"), repository, target, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def check_tree(target, indirect):
    top = os.fsencode(target) + b"/top"
    names = b"closed deep empty empty-file fifo indirect linked only-a-hole socket sparse symlink untouched".split()
    names += [b"\xff not text"] + ([b"null"] if os.geteuid() == 0 else [])
    check(sorted(os.listdir(top)) == sorted(names), "names at the top")

    def look(name):
        return os.lstat(top + b"/" + name)

    mtime = MTIME[0] * 10**9 + MTIME[1]
    for name in names:
        expected = {b"closed": -1_750_000_000, b"untouched": look(b"untouched").st_mtime_ns}.get(name, mtime)
        check(look(name).st_mtime_ns == expected, f"mtime of {name!r}")
    check(os.stat(top).st_mtime_ns == mtime and stat.S_IMODE(os.stat(top).st_mode) == 0o750, "metadata of the top folder")
    modes = {b"closed": 0o1500, b"empty": 0o755, b"empty-file": 0o4755, b"indirect": 0o400, b"fifo": 0o600}
    for name, mode in modes.items():
        check(stat.S_IMODE(look(name).st_mode) == mode, f"mode of {name!r}")
    check(contents(top + b"/indirect") == indirect, "content through an indirect list")
    check(contents(top + b"/\xff not text") == b"b" * 100, "content under a name that is not text")
    check(contents(top + b"/sparse") == b"s" * HOLE_START + bytes(HOLE_LENGTH) + TAIL, "content around a hole")
    check(look(b"sparse").st_blocks * 512 < HOLE_START + HOLE_LENGTH // 2, "hole is a hole")
    check(look(b"only-a-hole").st_size == HOLE_LENGTH and look(b"only-a-hole").st_blocks == 0, "file of one hole")
    check(contents(top + b"/linked") == b"two names", "content of the linked file")
    check(look(b"linked").st_ino == look(b"closed/a-link").st_ino and look(b"linked").st_nlink == 2, "hard link")
    check(os.readlink(top + b"/symlink") == b"no/such\xff", "symlink target")
    check(stat.S_ISFIFO(look(b"fifo").st_mode) and stat.S_ISSOCK(look(b"socket").st_mode), "fifo and socket")
    check(contents(top + b"/untouched") == b"two names" and look(b"untouched").st_mode & 0o400, "entry without metadata")
    if os.geteuid() == 0:
        for name in (b"empty-file", b"indirect", b"symlink"):
            check((look(name).st_uid, look(name).st_gid) == (12345, 23456), f"owner of {name!r}")
        null = look(b"null")
        check(stat.S_ISCHR(null.st_mode) and null.st_rdev == os.makedev(1, 3), "device")
    if has_user_xattrs(target):
        check(os.getxattr(top + b"/closed", "user.b") == b"\0\xff", "attributes of a folder")
        check(os.getxattr(top + b"/indirect", "user.a") == b"1", "attributes of a file that may not be written")
    check_deep(top)


def has_user_xattrs(folder):
    probe = os.path.join(folder, "top", "untouched")
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError:
        return False
    return True


def check_deep(top):
    fd = os.open(top + b"/deep", os.O_RDONLY)
    for _ in range(1, DEEP_LEVELS):
        below = os.open("level" * 4, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
        check(stat.S_IMODE(os.fstat(fd).st_mode) == 0o750, "mode of a deep folder")
    bottom = os.open("bottom", os.O_RDONLY, dir_fd=fd)
    check(os.read(bottom, 100) == b"down here", "content beyond PATH_MAX")
    os.close(bottom)
    os.close(fd)


def passed(text):
    print(f"ok: {text}")


class Case:
    """One repository, restored and spoiled in several ways, each in a fresh folder."""

    def __init__(self, base, encrypted):
        self.base, self.encrypted = base, encrypted
        self.name = "encrypted" if encrypted else "plain"
        self.folder = os.path.join(base, self.name)
        os.mkdir(self.folder)
        self.writer, self.indirect = write_repository(self.folder, encrypted)
        self.data_pack, self.tree_pack = [self.pack_name(described) for described in self.writer.described[:2]]
        self.runs = 0
        self.ways = [["--identity", self.folder + ".identity"], ["--passphrase-file", self.folder + ".passphrase"]] if encrypted else [[]]

    @staticmethod
    def pack_name(described):
        pack_id = described[:16].hex()
        return f"/packs/{pack_id[:2]}/{pack_id}"

    def target(self):
        self.runs += 1
        return os.path.join(self.base, f"{self.name}-{self.runs}")

    def restores(self, text, *options, folder=None):
        target = self.target()
        result = restore(folder or self.folder, target, *options)
        check(result.returncode == 0, f"{self.name}: {text}: {result.stdout}{result.stderr}")
        check_tree(target, self.indirect)
        passed(f"{self.name}: {text}")

    def spoiled(self, spoil, code, expected, text, *options):
        copy_folder = self.target()
        shutil.copytree(self.folder, copy_folder)
        spoil(copy_folder)
        result = restore(copy_folder, self.target(), *self.ways[0], *options)
        fits = result.returncode == code and expected in result.stderr
        check(fits, f"{self.name}: {text}: {result.returncode} {result.stdout}{result.stderr}")
        passed(f"{self.name}: {text}")


def rewrite(path, change):
    data = change(contents(path))
    with open(path, "wb") as file:
        file.write(data)


def flip(path, position):
    rewrite(path, lambda data: data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])


def check_good(case):
    for way in case.ways:
        case.restores(f"restores {way[:1]}", *way)
    case.restores("restores without the index", *case.ways[0], "--without-index")
    bare = case.target()
    shutil.copytree(case.folder, bare)
    shutil.rmtree(bare + "/index")
    case.restores("restores after the index is lost", *case.ways[0], "--without-index", folder=bare)
    controls = case.target()
    case.restores("restores by id, with control files", *case.ways[0], "--snapshot", "b" * 32, "--control-files", controls)
    check(contents(controls + "/job.json") == b"settings", "control file")
    listing = restore(case.folder, case.target(), *case.ways[0], "--list")
    lines = listing.stdout.splitlines()
    check(len(lines) == 2 and lines[1].startswith("b" * 32) and "partial" in lines[0], f"list: {listing}")
    entries = restore(case.folder, case.target(), *case.ways[0], "--list", "--snapshot", "newest").stdout
    check("top/closed/a-link" in entries and "top/\\xff not text" in entries, "list of entries")
    passed(f"{case.name}: lists")


def check_spoiled(case):
    config, data = "/repository.json", case.data_pack
    case.spoiled(lambda f: rewrite(f + config, lambda d: d.replace(b'"version": 1', b'"version": 2')), 2, "unknown version 2", "refuses a later config")
    case.spoiled(lambda f: rewrite(f + config, lambda d: d.replace(b"1048576", b"1048577")), 2, "check line", "refuses a changed config")
    case.spoiled(lambda f: flip(f + data, 50_000), 1, "top/indirect: ", "reports a damaged data pack")
    case.spoiled(lambda f: flip(f + case.tree_pack, 30_000), 1, "cannot be read further", "reports a damaged tree pack")
    case.spoiled(lambda f: rewrite(f + data, lambda d: d + b"x"), 1, "the index says", "reports a pack of another size")
    case.spoiled(lambda f: os.unlink(f + data), 1, "missing", "reports a missing pack")
    writer = case.writer

    def add_snapshot(folder, **more):
        writer.folder = folder
        writer.write_manifest("c" * 32, (0, []), **more)

    case.spoiled(lambda f: add_snapshot(f, version=2), 2, "unknown version 2", "refuses a later snapshot")
    case.spoiled(lambda f: add_snapshot(f, version=2), 0, "", "a later snapshot does not bar one asked for", "--snapshot", "b" * 32)
    case.spoiled(lambda f: add_snapshot(f, repository_id="0" * 32), 2, "another repository", "refuses a foreign snapshot")

    def add_segment(folder):
        writer.folder = folder
        writer.put("index/" + "0" * 32, writer.seal(zstandard.compress(b"\x02\x00"), writer.index_identity))

    case.spoiled(add_segment, 2, "unknown version 2", "refuses a later index segment")

    def add_wrong_chunk(folder):
        """A pack that is sound in itself but whose footer gives a chunk an id that is not its own."""
        writer.folder, writer.described = folder, []
        writer.add(2, [b"\x01"])
        stored, record = writer.frames[2][0]
        head = len(record) - 33
        writer.frames[2][0] = stored, record[:head] + bytes(32) + record[-1:]
        writer.finish_pack(2)
        writer.write_segment(writer.described)
        writer.write_manifest("c" * 32, (0, [bytes(32)]), time="2027-01-01T00:00:00Z")

    case.spoiled(add_wrong_chunk, 1, "is damaged", "reports a chunk whose id is not its own")


def check_keys(case):
    folder = case.folder
    case.spoiled(lambda f: os.unlink(f + "/keys/" + "1" * 32), 2, "write-only", "a write-only key does not restore")
    with open(folder + ".wrong", "w", encoding="utf-8") as file:
        file.write("wrong\n")
    wrong = restore(folder, case.target(), "--passphrase-file", folder + ".wrong")
    check(wrong.returncode == 2 and "no key file" in wrong.stderr, f"wrong passphrase: {wrong}")
    passed("encrypted: refuses a wrong passphrase")


def check_stock_tools(case):
    """`age -d -i identity object | zstd -d` prints the content of a pack."""
    if not (shutil.which("age") and shutil.which("zstd")):
        print("skipped: age or zstd is not installed")
        return
    plaintext = contents(case.folder + case.data_pack)
    if case.encrypted:
        command = ["age", "-d", "-i", case.folder + ".data-identity", case.folder + case.data_pack]
        plaintext = subprocess.run(command, capture_output=True, check=True).stdout
    shown = subprocess.run(["zstd", "-d"], input=plaintext, capture_output=True, check=True).stdout
    check(case.indirect in shown and TAIL in shown, "stock tools print a pack")
    passed(f"{case.name}: age and zstd print a pack")


def main():
    base = tempfile.mkdtemp(prefix="reader-selfcheck-")
    try:
        for encrypted in (False, True):
            case = Case(base, encrypted)
            check_good(case)
            check_spoiled(case)
            if encrypted:
                check_keys(case)
            check_stock_tools(case)
    finally:
        # Python's own removal is recursive and fails on the deep folder; a closed folder must be opened first.
        subprocess.run(["chmod", "-R", "u+rwx", "--", base], check=False)
        subprocess.run(["rm", "-rf", "--", base], check=False)


if __name__ == "__main__":
    main()
