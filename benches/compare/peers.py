# SPDX-License-Identifier: Apache-2.0 OR MIT
"""One class for each program: how it does each operation on its own command line.

All run encrypted, with their default pack and chunk sizes and zstd at its default level where they have it. Those that open a
repository by passphrase do so in every operation, so the time of the key derivation is included. An operation that a program
does not have is `None` in the tables. Caches and state live in the scratch folder, on the same file system as the repository.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "correct horse battery staple"
KEEP = 3


@dataclass
class Command:
    """One program, or several connected by pipes."""
    stages: list
    stdin: str | None = None
    stdout: str | None = None
    cwd: str | None = None
    accepted: tuple = (0,)


class Peer:
    """What every program must answer. `source` is always an absolute path; lists of commands are measured as one operation."""

    name = ""
    program = ""
    # A lower bound to compare with, not a backup program: it has no history, so only some operations.
    is_baseline = False
    unlock = "passphrase"

    def __init__(self, repository, state):
        self.repository, self.state = Path(repository), Path(state)
        self.count = 0

    def environment(self):
        """A small, known environment: nothing of the caller's configuration may reach the programs."""
        base = {"PATH": os.environ["PATH"], "HOME": str(self.state), "XDG_CACHE_HOME": str(self.state / "cache"),
                "XDG_CONFIG_HOME": str(self.state / "config"), "XDG_DATA_HOME": str(self.state / "data"), "TMPDIR": str(self.state / "tmp"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        return base | self.variables()

    def executable(self):
        return shutil.which(self.program, path=self.environment()["PATH"])

    def version(self):
        output = subprocess.run([self.executable(), "--version"], capture_output=True, text=True, env=self.environment(), check=False)
        return (output.stdout + output.stderr).strip().splitlines()[0]

    def variables(self):
        return {}

    def create(self):
        return []

    def check(self):
        return None

    def verify(self):
        return None

    def reclaim(self):
        return None

    def rebuild(self):
        return None


class Ours(Peer):
    name = "ours"

    def __init__(self, repository, state):
        super().__init__(repository, state)
        self.program = os.environ.get("DUPLICATI_CLI", str(ROOT / "target/release/duplicati-cli"))
        self.url = f"file://{self.repository}"

    def executable(self):
        return self.program if os.access(self.program, os.X_OK) else None

    def version(self):
        # `--version` is an option of its own with these programs; the help ends with the version.
        lines = subprocess.run([self.program, "help"], capture_output=True, text=True, env=self.environment(), check=False).stdout.split("\n")
        found = next((line for line in reversed(lines) if line.startswith("Version")), "unknown version")
        if "DUPLICATI_CLI" in os.environ:
            return f"{found.strip()} (DUPLICATI_CLI; its commit is not known)"
        commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
        return f"{found.strip()} (checkout {commit})"

    def variables(self):
        return {"PASSPHRASE": PASSPHRASE}

    def run(self, command, *arguments, accepted=(0,)):
        argv = [self.program, command, self.url, *arguments, f"--dbpath={self.state}/local.sqlite"]
        return [Command([argv], accepted=accepted)]

    def backup(self, source):
        # 1 says that nothing had changed, which is a success.
        return self.run("backup", str(source), accepted=(0, 1))

    def restore(self, target, _source):
        return self.run("restore", f"--restore-path={target}", "--restore-permissions")

    def restore_one(self, target, source, path):
        return self.run("restore", f"{source}/{path}", f"--restore-path={target}", "--restore-permissions")

    def check(self):
        return self.run("test", "1")

    def verify(self):
        return self.run("test", "all")

    def reclaim(self):
        return self.run("delete", f"--keep-versions={KEEP}", "--no-auto-compact=true") + self.run("compact", "--threshold=1")

    def rebuild(self):
        return [Command([["rm", "-f", f"{self.state}/local.sqlite"]])] + self.run("repair")


class OursByKey(Ours):
    """Opened by an age key file, as bupstash and the pipe of age are: no passphrase to stretch."""

    name = "ours-key-file"
    unlock = "key file"

    def variables(self):
        return {}

    def create(self):
        return [Command([["age-keygen", "-o", f"{self.state}/key"]])]

    def backup(self, source):
        # The public key is written into the key file as a comment; the first backup makes the repository for it.
        lines = Path(f"{self.state}/key").read_text(encoding="utf-8").splitlines()
        public = next(line.split(": ")[1] for line in lines if line.startswith("# public key"))
        return self.run("backup", str(source), f"--recipient={public}", accepted=(0, 1))

    def run(self, command, *arguments, accepted=(0,)):
        return super().run(command, *arguments, f"--identity={self.state}/key", accepted=accepted)


class Restic(Peer):
    name = "restic"
    program = "restic"

    def version(self):
        return subprocess.run([self.executable(), "version"], capture_output=True, text=True, check=False).stdout.strip()

    def variables(self):
        return {"RESTIC_PASSWORD": PASSPHRASE, "RESTIC_REPOSITORY": str(self.repository), "RESTIC_CACHE_DIR": str(self.state / "cache"), "RESTIC_PROGRESS_FPS": "0.1"}

    def run(self, *arguments):
        return [Command([[self.program, "--quiet", *arguments]])]

    def create(self):
        return self.run("init", "--repository-version", "2")

    def backup(self, source):
        return self.run("backup", str(source))

    def restore(self, target, _source):
        return self.run("restore", "latest", "--target", str(target))

    def restore_one(self, target, source, path):
        return self.run("restore", "latest", "--target", str(target), "--include", f"{source}/{path}")

    def check(self):
        return self.run("check")

    def verify(self):
        return self.run("check", "--read-data")

    def reclaim(self):
        return self.run("forget", "--keep-last", str(KEEP), "--prune")


class Rustic(Peer):
    name = "rustic"
    program = "rustic"

    def variables(self):
        return {"RUSTIC_PASSWORD": PASSPHRASE, "RUSTIC_REPOSITORY": str(self.repository), "RUSTIC_CACHE_DIR": str(self.state / "cache"), "RUSTIC_NO_PROGRESS": "true", "RUSTIC_LOG_LEVEL": "warn"}

    def run(self, *arguments):
        return [Command([[self.program, *arguments]])]

    def create(self):
        return self.run("init")

    def backup(self, source):
        return self.run("backup", str(source))

    def restore(self, target, source):
        return self.run("restore", f"latest:{source}", str(target))

    def restore_one(self, target, source, path):
        return [Command([[self.program, "dump", f"latest:{source}/{path}"]], stdout=f"{target}/{os.path.basename(path)}")]

    def check(self):
        return self.run("check")

    def verify(self):
        return self.run("check", "--read-data")

    def reclaim(self):
        # Without these options it repacks at most a tenth and deletes nothing for 23 hours.
        return self.run("forget", "--keep-last", str(KEEP)) + self.run("prune", "--max-repack", "unlimited", "--max-unused", "5%", "--instant-delete")


class Borg(Peer):
    name = "borg"
    program = "borg"

    def variables(self):
        return {"BORG_PASSPHRASE": PASSPHRASE, "BORG_REPO": str(self.repository), "BORG_BASE_DIR": str(self.state), "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}

    def create(self):
        return [Command([["borg", "init", "--encryption=repokey-blake2"]])]

    def backup(self, source):
        self.count += 1
        return [Command([["borg", "create", "--compression=zstd,3", f"::v{self.count}", "."]], cwd=str(source))]

    def restore(self, target, _source):
        return [Command([["borg", "extract", f"::v{self.count}"]], cwd=str(target))]

    def restore_one(self, target, _source, path):
        return [Command([["borg", "extract", f"::v{self.count}", path]], cwd=str(target))]

    def check(self):
        return [Command([["borg", "check", "--archives-only"]])]

    def verify(self):
        return [Command([["borg", "check", "--verify-data"]])]

    def reclaim(self):
        old = [f"v{number}" for number in range(1, self.count - KEEP + 1)]
        return [Command([["borg", "delete", "::" + old[0], *old[1:]]]), Command([["borg", "compact"]])]

    def rebuild(self):
        return [Command([["borg", "delete", "--cache-only"]]), Command([["borg", "info"]])]


class Bupstash(Peer):
    name = "bupstash"
    program = "bupstash"
    unlock = "key file"

    def variables(self):
        return {"BUPSTASH_REPOSITORY": str(self.repository), "BUPSTASH_KEY": str(self.state / "key"), "BUPSTASH_SEND_LOG": str(self.state / "send-log"), "BUPSTASH_QUERY_CACHE": str(self.state / "query-cache")}

    def create(self):
        return [Command([["bupstash", "new-key", "-o", str(self.state / "key")]]), Command([["bupstash", "init"]])]

    def backup(self, source):
        self.count += 1
        return [Command([["bupstash", "put", "--quiet", f"name=v{self.count}", str(source)]])]

    def restore(self, target, _source):
        return [Command([["bupstash", "restore", "--quiet", "--into", str(target), f"name=v{self.count}"]])]

    def restore_one(self, target, _source, path):
        return [Command([["bupstash", "get", "--quiet", "--pick", path, f"name=v{self.count}"]], stdout=f"{target}/{os.path.basename(path)}")]

    def reclaim(self):
        removals = [Command([["bupstash", "rm", "--quiet", f"name=v{number}"]]) for number in range(1, self.count - KEEP + 1)]
        return removals + [Command([["bupstash", "gc", "--quiet"]])]


class TarZstdAge(Peer):
    name = "tar+zstd+age"
    program = "age"
    is_baseline = True
    unlock = "key file"

    def archive(self):
        return str(self.repository / f"v{self.count}.tar.zst.age")

    def version(self):
        return f"age {super().version()}, zstd {zstd_version()}"

    def create(self):
        return [Command([["mkdir", "-p", str(self.repository)]]), Command([["age-keygen", "-o", str(self.state / "key")]]),
                Command([["age-keygen", "-y", str(self.state / "key")]], stdout=str(self.state / "recipients"))]

    def backup(self, source):
        self.count = 1
        return [Command([["tar", "-C", str(source), "-cf", "-", "."], ["zstd", "-3", "-T2", "-q"], ["age", "-R", str(self.state / "recipients")]], stdout=self.archive())]

    def decrypt(self):
        return ["age", "-d", "-i", str(self.state / "key"), self.archive()], ["zstd", "-d", "-q"]

    def restore(self, target, _source):
        return [Command([*self.decrypt(), ["tar", "-C", str(target), "-xpf", "-"]])]

    def restore_one(self, target, _source, path):
        return [Command([*self.decrypt(), ["tar", "-C", str(target), "-xpf", "-", f"./{path}"]])]

    def verify(self):
        decrypt, _unzstd = self.decrypt()
        return [Command([decrypt, ["zstd", "-t", "-q"]])]


def zstd_version():
    output = subprocess.run(["zstd", "--version"], capture_output=True, text=True, check=False).stdout
    return output.split(" v")[-1].split(",")[0].strip()


ALL = [Ours, OursByKey, Restic, Rustic, Borg, Bupstash, TarZstdAge]
