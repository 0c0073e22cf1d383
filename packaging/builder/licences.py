# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Collects the licence texts of all crates in the programs into one text; equal texts appear once."""

import re
from pathlib import Path

from .crates import Crate, Graph

_NAMES = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)([-_. ].*)?$")
# Far above any licence text; what is larger is something else.
_TEXT_BYTES_MAX = 256 * 1024


def collect(graph: Graph) -> str:
    """One text: a list of all crates with their licences, then every text with the crates that it belongs to."""
    owners: dict[str, list[Crate]] = {}
    without = []
    for crate in graph.crates:
        texts = _texts(crate.folder)
        if not texts:
            without.append(crate)
        for text in texts:
            owners.setdefault(text, []).append(crate)

    rule = "=" * 78
    lines = ["The programs in this package contain the following crates.", ""]
    lines += [f"{crate.name} {crate.version}: {crate.licence or 'see its text below'}" for crate in graph.crates]
    if without:
        lines += ["", "These crates come without a file for their licence; the text of the licence named above applies:"]
        lines += [f"{crate.name} {crate.version}" for crate in without]
    for text, crates in sorted(owners.items(), key=lambda item: (item[1][0].name, item[1][0].version, item[0])):
        lines += ["", rule, ", ".join(f"{crate.name} {crate.version}" for crate in crates), rule, "", text]
    return "\n".join(lines) + "\n"


def _texts(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.iterdir()):
        if not _NAMES.match(path.name):
            continue
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in inside:
            if file.is_file() and file.stat().st_size <= _TEXT_BYTES_MAX:
                text = file.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n").strip()
                if text and text not in found:
                    found.append(text)
    return found
