# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Which programs a folder of built files has, and in which file each is."""

from pathlib import Path

# The file with several programs; it runs the one that it is started as, so a link with that name is the program.
SHARED = "duplicati-programs"


def find(folder: Path, metadata: dict) -> dict[str, str]:
    """The name of each program and of its file: the shared one where that has it, else one of its own."""
    found = {}
    for package in metadata["packages"]:
        if package["source"] is None:
            for target in package["targets"]:
                if "bin" in target["kind"] and (folder / target["name"]).is_file():
                    found[target["name"]] = target["name"]
    if found.pop(SHARED, None):
        found.update(dict.fromkeys(_parts(metadata), SHARED))
    return found


def _parts(metadata: dict) -> list[str]:
    """The packages that the shared file is made of are those of our own that also make a program by themselves."""
    own = {package["name"]: package for package in metadata["packages"] if package["source"] is None}
    uses = {dependency["name"] for dependency in own[SHARED]["dependencies"] if dependency["kind"] is None}
    return [name for name in uses & own.keys() if any("bin" in target["kind"] and target["name"] == name for target in own[name]["targets"])]
