# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Runs one operation of one program under `measure.py`, and keeps the folders that a benchmark needs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURE = Path(__file__).with_name("measure.py")


class OperationFailed(Exception):
    """A program ended in a way that makes its figure worthless."""


def run_command(command, environment, log, timeout_seconds):
    job = {"stages": command.stages, "stdin": command.stdin, "stdout": command.stdout, "cwd": command.cwd, "env": environment,
           "log": str(log), "timeout_seconds": timeout_seconds}
    log_start = len(Path(log).read_text(errors="replace")) if Path(log).exists() else 0
    process = subprocess.run([sys.executable, "-I", "-S", str(MEASURE)], input=json.dumps(job), capture_output=True, text=True, check=False)
    line = " | ".join(" ".join(argv) for argv in command.stages)
    said = Path(log).read_text(errors="replace")[log_start:] if Path(log).exists() else ""
    if process.returncode != 0:
        raise OperationFailed(f"could not measure `{line}`: {process.stderr.strip()}")
    result = json.loads(process.stdout)
    if result["timed_out"]:
        raise OperationFailed(f"`{line}` ran longer than {timeout_seconds} s")
    if any(code not in command.accepted for code in result["exit_codes"]):
        raise OperationFailed(f"`{line}` ended with {result['exit_codes']}: {said[-600:].strip()}")
    return result


def run_operation(peer, commands, log, timeout_seconds=3600):
    """Runs the commands one after the other. Times add up; memory is that of the largest."""
    results = [run_command(command, peer.environment(), log, timeout_seconds) for command in commands]
    return {
        "wall_seconds": sum(result["wall_seconds"] for result in results),
        "cpu_seconds": sum(result["user_seconds"] + result["system_seconds"] for result in results),
        "system_seconds": sum(result["system_seconds"] for result in results),
        "rss_bytes": max((result["rss_bytes"] for result in results), default=0),
        "load_before": LOAD[0],
    }


# The load when the operation was about to start; figures taken on a busy machine can be told apart.
LOAD = [0.0]


def note_load():
    LOAD[0] = round(os.getloadavg()[0], 2)


def folder_bytes(folder):
    """Length of all files below, counted once each."""
    total = 0
    for parent, _folders, files in os.walk(folder):
        total += sum(os.lstat(os.path.join(parent, name)).st_size for name in files)
    return total


class Scratch:
    """A folder that is gone when the benchmark ends, however it ends."""

    def __init__(self, root):
        self.root = Path(root)

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_arguments: sys.exit(1))
        self.root.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix="bench-", dir=self.root))
        return self

    def __exit__(self, *_cause):
        shutil.rmtree(self.path, ignore_errors=True)

    def empty(self, name):
        """An empty folder of that name; what was there is removed."""
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def log(self, peer):
        """What the program says, kept until the end for the message of a failure."""
        return self.path / f"{peer.name}.log"

    def require(self, bytes_wanted, why):
        free = shutil.disk_usage(self.path).free
        if str(self.path).startswith("/dev/shm"):
            # The size of a tmpfs is a promise; the memory that is left is what counts.
            free = min(free, available_memory() - 1024 ** 3)
        if free < bytes_wanted:
            raise SystemExit(f"{self.path}: {why} takes about {bytes_wanted / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; use a smaller --scale, or --folder on a disk")


def available_memory():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def new_peer(kind, scratch, suffix=""):
    """A program with an empty repository, ready for its first backup."""
    label = kind.name + suffix
    state = scratch.empty(f"state-{label}")
    (state / "tmp").mkdir()
    repository = scratch.path / f"repository-{label}"
    shutil.rmtree(repository, ignore_errors=True)
    peer = kind(repository, state)
    run_operation(peer, peer.create(), scratch.log(peer))
    return peer


def find_restored(target, source, path):
    """Where the program put the source below the target: programs differ in how much of the path they keep."""
    for root in (target, target / source.name, target / str(source)[1:]):
        if os.path.lexists(root / path):
            return root
    for root in (target / os.path.dirname(path), target):
        if os.path.lexists(root / os.path.basename(path)):
            return root
    raise OperationFailed(f"nothing restored: {path} is not below {target}")


def compare_trees(source, restored, files, content_every=1):
    """Every file must be there with its length; the content of one in `content_every` is compared as well."""
    for position, path in enumerate(files):
        try:
            if os.path.getsize(source / path) != os.path.getsize(restored / path):
                raise OperationFailed(f"restored {path} with another length")
        except FileNotFoundError as missing:
            raise OperationFailed(f"not restored: {path}") from missing
        if position % content_every == 0 and not same_content(source / path, restored / path):
            raise OperationFailed(f"restored {path} with other content")


def same_content(first, second):
    with open(first, "rb") as left, open(second, "rb") as right:
        while True:
            a, b = left.read(1 << 20), right.read(1 << 20)
            if a != b:
                return False
            if not a:
                return True
