# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Which crates are inside the programs, asked from `cargo metadata`, which builds nothing."""

import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError
from .source import ROOT


@dataclass(frozen=True)
class Crate:
    """A crate from the registry that is part of a program."""

    name: str
    version: str
    licence: str
    checksum: str
    folder: Path
    identity: str
    uses: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its name across package worlds."""
        return f"pkg:cargo/{self.name}@{self.version}"


@dataclass(frozen=True)
class Graph:
    """All crates in the programs, and the identities that our own crates use directly."""

    crates: tuple[Crate, ...]
    roots: tuple[str, ...]


def read(programs: list[str], rust_target: str) -> Graph:
    """Follows the dependencies of the named programs for a processor; those of tests and build scripts stay out."""
    found = metadata(rust_target)
    packages = {package["id"]: package for package in found["packages"]}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    starts = [
        identity
        for identity, package in packages.items()
        if any("bin" in target["kind"] and target["name"] in programs for target in package["targets"]) and package["source"] is None
    ]
    if len(starts) != len(programs):
        raise BuildError(f"the sources have {len(starts)} of the {len(programs)} programs: {', '.join(programs)}")

    seen: dict[str, list[str]] = {}
    waiting = list(starts)
    while waiting:
        identity = waiting.pop()
        if identity in seen:
            continue
        used = [dep["pkg"] for dep in nodes[identity]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        seen[identity] = used
        waiting += used

    checksums = _checksums()
    crates = [
        Crate(
            name=package["name"],
            version=package["version"],
            licence=(package["license"] or "").replace("/", " OR "),
            checksum=checksums.get((package["name"], package["version"]), ""),
            folder=Path(package["manifest_path"]).parent,
            identity=identity,
            uses=tuple(sorted(seen[identity])),
        )
        for identity in seen
        if (package := packages[identity])["source"] is not None
    ]
    outside = {crate.identity for crate in crates}
    roots = {used for identity, uses in seen.items() if identity not in outside for used in uses if used in outside}
    return Graph(tuple(sorted(crates, key=lambda crate: (crate.name, crate.version))), tuple(sorted(roots)))


def metadata(rust_target: str) -> dict:
    """What `cargo metadata` says about the packages for a processor."""
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", rust_target]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"cargo could not be started: {error}") from error
    if done.returncode != 0:
        raise BuildError(f"cargo metadata failed; `cargo fetch --locked` gets the sources of the crates:\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def _checksums() -> dict[tuple[str, str], str]:
    with open(ROOT / "Cargo.lock", "rb") as file:
        locked = tomllib.load(file)["package"]
    return {(package["name"], package["version"]): package.get("checksum", "") for package in locked}
