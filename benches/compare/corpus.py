# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Text that looks like source code: what the machine has, or generated text where it has too little.

The same machine with the same packages gives the same corpus; `digest` tells two corpora apart. Figures made from different
corpora are comparable within one run only, which is how `compare.py` uses them.
"""

import hashlib
import os
import random
from pathlib import Path

FOLDERS = ["~/.cargo/registry/src", "/usr/include", "~/.rustup", "~/.pyenv", "/usr/share", "/usr/lib"]
SUFFIXES = {".rs", ".c", ".h", ".hpp", ".cc", ".S", ".py", ".pl", ".pm", ".js", ".go", ".sh", ".md", ".toml", ".txt", ".json", ".rb", ".lua", ".css"}
FILE_BYTES_MAX = 512 * 1024
USABLE_BYTES_MIN = 48 * 1024 * 1024


def find_text_files():
    """Every usable file with its size, in an order that depends on the paths only."""
    found = []
    for folder in FOLDERS:
        for parent, folders, files in os.walk(Path(folder).expanduser()):
            folders.sort()
            for name in files:
                if os.path.splitext(name)[1] not in SUFFIXES:
                    continue
                path = os.path.join(parent, name)
                if os.path.islink(path):
                    continue
                size = os.path.getsize(path)
                if 200 <= size <= FILE_BYTES_MAX:
                    found.append((parent, path, size))
    # Folders are shuffled, files of one folder stay together: neighbours in a source tree resemble each other.
    found.sort(key=lambda entry: (hashlib.blake2b(entry[0].encode(errors="replace"), digest_size=8).digest(), entry[1]))
    return found


def read_machine_text(bytes_wanted):
    text, seen = bytearray(), set()
    for _parent, path, _size in find_text_files():
        if len(text) >= bytes_wanted:
            break
        with open(path, "rb") as file:
            content = file.read()
        fingerprint = hashlib.blake2b(content, digest_size=16).digest()
        if fingerprint in seen or b"\0" in content:
            continue
        seen.add(fingerprint)
        text += content
    return bytes(text)


def generate_text(bytes_wanted, seed):
    """Code-like lines over a vocabulary with Zipf-like frequencies, for machines without enough text."""
    source = random.Random(f"corpus {seed}")
    syllables = ["re", "con", "tra", "pos", "ble", "ver", "in", "tion", "al", "set", "get", "map", "key", "buf", "len", "ptr", "node", "list"]
    words = ["".join(source.choices(syllables, k=source.randint(1, 4))) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    patterns = ["    let {} = {}.{}({}, {})?;", "    if {}.{} == {} {{", "    }} // {} {} {}", "fn {}({}: {}) -> {} {{", "    return {}({}, 0x{:x});", "", "}}"]
    text = bytearray()
    while len(text) < bytes_wanted:
        chosen = source.choices(words, weights, k=6000)
        lines = []
        while len(chosen) > 6:
            pattern = source.choice(patterns)
            fields = pattern.count("{}")
            arguments = [chosen.pop() for _ in range(fields)]
            if "{:x}" in pattern:
                arguments.append(source.getrandbits(32))
            lines.append(pattern.format(*arguments))
        text += "\n".join(lines).encode() + b"\n"
    return bytes(text)


class Corpus:
    """Hands out text region by region. Every pass over the text after the first one is cut and shuffled differently."""

    def __init__(self, bytes_wanted, seed):
        self.text = read_machine_text(bytes_wanted)
        self.origin = "machine"
        if len(self.text) < min(bytes_wanted, USABLE_BYTES_MIN):
            self.text, self.origin = generate_text(min(bytes_wanted, USABLE_BYTES_MIN * 4), seed), "generated"
        self.digest = hashlib.blake2b(self.text, digest_size=12).hexdigest()
        self.position, self.passes = 0, 0
        self.random = random.Random(f"regions {seed}")

    def take(self, size):
        """Exactly `size` bytes. No byte of the corpus is handed out twice within one pass."""
        parts = []
        while size > 0:
            if self.position >= len(self.text):
                self.passes += 1
                # Another start, so that the cuts of this pass meet none of the earlier ones.
                self.position = self.random.randrange(max(1, len(self.text) // 50))
            part = self.text[self.position:self.position + size]
            self.position += len(part)
            size -= len(part)
            parts.append(part if self.passes == 0 else self.shuffle(part))
        return b"".join(parts)

    def shuffle(self, part):
        """The same lines in pieces of 1 to 4 KiB, in another order: no long run repeats an earlier pass."""
        pieces, start = [], 0
        while start < len(part):
            end = part.find(b"\n", start + self.random.randint(1024, 4096)) + 1 or len(part)
            pieces.append(part[start:end])
            start = end
        self.random.shuffle(pieces)
        return b"".join(pieces)
