# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Makes the data sets that are backed up, and changes a small share of them.

Everything follows from the name of the data set, the scale, the seed and the text of the machine (`corpus.py`). Run alone:

    python3 datasets.py source /dev/shm/source --scale 0.1
    python3 datasets.py source /dev/shm/source --mutate 0.01 --generation 1
"""

import argparse
import itertools
import math
import os
import random
from pathlib import Path

from corpus import Corpus

MIB = 1024 * 1024
GIB = 1024 * MIB

SOURCE_FILES = 100_000
SOURCE_BYTES = 2 * GIB
SOURCE_SIGMA = 1.7          # median about 5 KB at a mean of 21 KB, as in source trees
SOURCE_FILE_BYTES_MAX = 4 * MIB
LARGE_BYTES = 4 * GIB
TINY_FILES = 1_000_000
TINY_FOLDERS = 1_000
EXTENSIONS = [".rs", ".c", ".h", ".py", ".js", ".go", ".md", ".toml", ".json", ".txt", ".sh"]
NAMES = ("actor buffer cache chunk client codec config context cursor driver engine error event filter format handle header index inner item "
         "iterator kernel layer lexer list loader lock main map memory message mod net node options output packet parser path pool queue reader "
         "registry request resolver route runtime scanner schema server session signal socket source state store stream string table task test "
         "thread time token trace tree types util value vector view walker window worker writer").split()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


# --- source -------------------------------------------------------------------------------------------------------------------


def source_sizes(source, count, total):
    """Log-normal sizes that add up to about `total`."""
    location = math.log(total / count) - SOURCE_SIGMA ** 2 / 2
    sizes = [min(SOURCE_FILE_BYTES_MAX, max(20, int(source.lognormvariate(location, SOURCE_SIGMA)))) for _ in range(count)]
    factor = total / sum(sizes)
    return [max(1, int(size * factor)) for size in sizes]


def source_folders(source, count):
    """A tree of folders: each new one hangs below a random earlier one, and none is deeper than 7."""
    folders = ["."]
    depth = {".": 0}
    while len(folders) < count:
        parent = source.choice(folders)
        if depth[parent] >= 7:
            continue
        folder = f"{parent}/{source.choice(NAMES)}{len(folders):x}"
        depth[folder] = depth[parent] + 1
        folders.append(folder)
    return folders


def make_source(root, scale, seed, total=None):
    source = random.Random(f"source {seed}")
    count = max(10, int(SOURCE_FILES * scale))
    total = total or int(SOURCE_BYTES * scale)
    sizes = source_sizes(source, count, total)
    corpus = Corpus(total, seed)
    folders = source_folders(source, max(2, count // 12))
    for folder in folders:
        os.makedirs(root / folder, exist_ok=True)
    start = 0
    for number, folder in enumerate(itertools.cycle(folders)):
        if start >= count:
            break
        files = min(count - start, 1 + min(60, int(source.expovariate(1 / 11))))
        text = memoryview(corpus.take(sum(sizes[start:start + files])))
        offset = 0
        for position in range(start, start + files):
            name = f"{source.choice(NAMES)}_{position:x}{source.choices(EXTENSIONS, range(len(EXTENSIONS), 0, -1))[0]}"
            path = root / folder / name
            write(path, text[offset:offset + sizes[position]])
            offset += sizes[position]
            if name.endswith(".sh"):
                os.chmod(path, 0o755)
        if number % 97 == 0:
            os.symlink(name, root / folder / f"link_{number:x}")
        start += files
    return corpus


# --- large --------------------------------------------------------------------------------------------------------------------


def machine_code_blocks():
    """Bytes of shared libraries: neither text nor noise, as most of a system disk is."""
    content = bytearray()
    for path in sorted(Path("/usr/lib").glob("*/lib*.so*"), key=lambda path: path.name):
        if path.is_file() and not path.is_symlink() and len(content) < 256 * MIB:
            content += path.read_bytes()
    return bytes(content) or random.Random("blocks").randbytes(16 * MIB)


def make_disk_image(path, total, source, corpus):
    """Extents of 64 KiB to 1 MiB: a third holes, the rest written zeros, text, machine code and noise."""
    code = machine_code_blocks()
    with open(path, "wb") as file:
        position = 0
        while position < total:
            extent = min(total - position, 4096 * source.randint(16, 256))
            kind = source.choices(["hole", "zero", "text", "code", "noise"], [33, 7, 30, 22, 8])[0]
            if kind != "hole":
                file.seek(position)
            if kind == "zero":
                file.write(bytes(extent))
            elif kind == "text":
                file.write(corpus.take(extent))
            elif kind == "code":
                start = source.randrange(max(1, len(code) - extent))
                file.write(code[start:start + extent].ljust(extent, b"\0"))
            elif kind == "noise":
                file.write(source.randbytes(extent))
            position += extent
        file.truncate(total)


def dump_rows(source, table, first, count):
    """One INSERT statement, as database dumps write it."""
    rows = []
    for number in range(first, first + count):
        noise = source.getrandbits(64)
        name = f"{NAMES[noise % len(NAMES)]}.{NAMES[(noise >> 8) % len(NAMES)]}{noise >> 50}"
        rows.append(f"({number},'{name}','{name}@{NAMES[(noise >> 16) % len(NAMES)]}.example','2024-{1 + noise % 12:02}-{1 + noise % 28:02} "
                    f"{noise % 24:02}:{noise % 60:02}:{(noise >> 6) % 60:02}',{(noise >> 20) % 100_000 / 100:.2f},{noise % 2},'{noise:016x}',NULL)")
    return f"INSERT INTO `{table}` VALUES {','.join(rows)};\n".encode()


def make_dump(path, total, source):
    with open(path, "wb") as file:
        row, table = 1, 0
        while file.tell() < total:
            if row % 200_001 < 500:
                table += 1
                file.write(f"DROP TABLE IF EXISTS `{NAMES[table % len(NAMES)]}`;\nCREATE TABLE `{NAMES[table % len(NAMES)]}` (`id` bigint NOT NULL);\n".encode())
            file.write(dump_rows(source, NAMES[table % len(NAMES)], row, 500))
            row += 500


def make_large(root, scale, seed, total=None):
    source = random.Random(f"large {seed}")
    total = total or int(LARGE_BYTES * scale)
    corpus = Corpus(min(total // 6, 512 * MIB), seed)
    os.makedirs(root / "media", exist_ok=True)
    make_disk_image(root / "disk.img", total // 2, source, corpus)
    make_dump(root / "dump.sql", total // 4, source)
    left, number = total // 4, 0
    while left > 0:
        size = min(left, source.randint(2 * MIB, 24 * MIB))
        write(root / "media" / f"film_{number:04}.mp4", source.randbytes(size))
        left, number = left - size, number + 1
    return corpus


def make_huge(root, scale, seed):
    """One file of 20 GiB without holes: text, machine code and noise by turns. For the memory bench only."""
    source = random.Random(f"huge {seed}")
    total = int(20 * GIB * scale)
    corpus = Corpus(256 * MIB, seed)
    code = machine_code_blocks()
    os.makedirs(root, exist_ok=True)
    with open(root / "huge.bin", "wb") as file:
        while file.tell() < total:
            kind = source.randrange(3)
            extent = min(total - file.tell(), MIB * source.randint(1, 8))
            if kind == 0:
                file.write(corpus.take(extent))
            elif kind == 1:
                start = source.randrange(max(1, len(code) - extent))
                # A few changed bytes keep repeated extents from being whole duplicates.
                block = bytearray(code[start:start + extent])
                for place in range(0, len(block), 64 * 1024):
                    block[place:place + 8] = source.randbytes(8)
                file.write(block)
            else:
                file.write(source.randbytes(extent))
    return corpus


# --- tiny ---------------------------------------------------------------------------------------------------------------------


def make_tiny(root, scale, seed):
    source = random.Random(f"tiny {seed}")
    count = max(10, int(TINY_FILES * scale))
    folders = min(TINY_FOLDERS, count)
    corpus = Corpus(min(count * 275, 128 * MIB), seed)
    for folder in range(folders):
        os.makedirs(root / f"{folder:03x}", exist_ok=True)
        share = range(folder * count // folders, (folder + 1) * count // folders)
        sizes = [source.randint(50, 500) for _ in share]
        text, offset = corpus.take(sum(sizes)), 0
        for number, size in zip(share, sizes):
            write(f"{root}/{folder:03x}/{number:06x}", text[offset:offset + size])
            offset += size
    return corpus


# --- change -------------------------------------------------------------------------------------------------------------------


def list_files(root):
    """All regular files below `root`, as text paths relative to it, in one order."""
    found = []
    for parent, folders, files in os.walk(root):
        folders.sort()
        prefix = os.path.relpath(parent, root)
        for name in sorted(files):
            path = name if prefix == "." else f"{prefix}/{name}"
            if not os.path.islink(os.path.join(parent, name)):
                found.append(path)
    return found


def edit_text(content, source):
    """A few lines in the middle are replaced by other lines: what an edit of a source file is."""
    place = content.find(b"\n", source.randrange(max(1, len(content)))) + 1
    end = content.find(b"\n", place + source.randint(1, 200)) + 1 or len(content)
    line = f"    {source.choice(NAMES)}.{source.choice(NAMES)}({source.getrandbits(48)});\n".encode()
    return content[:place] + line + content[end:]


def mutate_files(root, share, source, generation):
    """Of the chosen files eight in ten are edited, one is deleted, and one new file appears beside another."""
    files = list_files(root)
    for position, name in enumerate(source.sample(files, max(1, int(len(files) * share)))):
        path = root / name
        content = path.read_bytes()
        if position % 10 == 8:
            path.unlink()
        elif position % 10 == 9:
            lines = content.splitlines(keepends=True)
            source.shuffle(lines)
            stem, extension = os.path.splitext(path)
            write(f"{stem}_new{generation}{extension}", b"".join(lines) + b"\n")
        else:
            write(path, edit_text(content, source))


def mutate_large(root, share, source, generation):
    """Extents of the image are overwritten, rows of the dump change and move what follows, films come and go."""
    with open(root / "disk.img", "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        left = int(size * share)
        while left > 0:
            extent = min(left, 4096 * source.randint(1, 64))
            file.seek(4096 * source.randrange(max(1, (size - extent) // 4096)))
            file.write(edit_text(dump_rows(source, "page", generation, 1 + extent // 100), source)[:extent].ljust(extent, b"\0"))
            left -= extent
    mutate_dump(root / "dump.sql", share, source, generation)
    films = sorted((root / "media").iterdir())
    for film in source.sample(films, max(1, round(len(films) * share))):
        size = film.stat().st_size
        film.unlink()
        write(film.with_name(f"{film.stem}_{generation}.mp4"), source.randbytes(size))


def mutate_dump(path, share, source, generation):
    """One statement in a hundred is written anew with one row more."""
    with open(path, "rb") as old, open(f"{path}.new", "wb") as new:
        for number, line in enumerate(old):
            if line.startswith(b"INSERT") and source.random() < share:
                table = line.split(b"`", 2)[1].decode()
                line = dump_rows(source, table, number * 500, 501)
            new.write(line)
    os.replace(f"{path}.new", path)


def make(name, root, scale=1.0, seed=1):
    """Makes the data set below `root`, which must not exist yet. Returns facts about it for the report."""
    root = Path(root)
    root.mkdir(parents=True)
    corpus = {"source": make_source, "large": make_large, "tiny": make_tiny, "huge": make_huge}[name](root, scale, seed)
    files = list_files(root)
    sizes = [os.path.getsize(root / file) for file in files]
    return {"name": name, "scale": scale, "seed": seed, "files": len(files), "bytes": sum(sizes), "median_file_bytes": sorted(sizes)[len(sizes) // 2],
            "corpus": corpus.digest, "corpus_origin": corpus.origin}


def mutate(name, root, share, generation, seed=1):
    """Changes `share` of the data set in place. The same generation on the same state gives the same result."""
    source = random.Random(f"mutate {name} {seed} {generation}")
    (mutate_large if name == "large" else mutate_files)(Path(root), share, source, generation)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["source", "large", "tiny", "huge"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutate", type=float, metavar="SHARE", help="change this share of an existing data set instead, e.g. 0.01")
    parser.add_argument("--generation", type=int, default=1, help="which change; each one differs")
    arguments = parser.parse_args()
    if arguments.mutate is not None:
        mutate(arguments.name, arguments.folder, arguments.mutate, arguments.generation, arguments.seed)
    else:
        print(make(arguments.name, arguments.folder, arguments.scale, arguments.seed))


if __name__ == "__main__":
    main()
