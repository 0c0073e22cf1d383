# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What the packages are made of: version, commit, time, and the files beside this one."""

import os
import subprocess
import tomllib
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .errors import BuildError

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ROOT / "packaging" / "system"

# A reserved domain: whoever publishes packages gives the own address with --maintainer.
MAINTAINER = "Duplicati engine maintainers <maintainers@example.org>"


@dataclass(frozen=True)
class Source:
    """The state of the sources that the packages are named and dated after."""

    version: str
    commit: str
    epoch: int

    @property
    def when(self) -> datetime:
        """The time of everything in the packages."""
        return datetime.fromtimestamp(self.epoch, timezone.utc)


def read(version: str | None = None) -> Source:
    """Takes the version from Cargo.toml, unless another is given, and the time from SOURCE_DATE_EPOCH or else from the commit."""
    if version is None:
        with open(ROOT / "Cargo.toml", "rb") as file:
            version = tomllib.load(file)["workspace"]["package"]["version"]
    commit = _git("rev-parse", "HEAD")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    if not epoch.isdigit():
        raise BuildError("there is no commit to take the time from; set SOURCE_DATE_EPOCH to seconds since 1970")
    return Source(version, commit or "unknown", int(epoch))


def text(name: str) -> str:
    """A file of packaging/system."""
    return (SYSTEM / name).read_text()


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
