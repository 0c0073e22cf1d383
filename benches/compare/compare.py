# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Compares the backup programs on one data set: time, CPU, memory and repository size of every operation.

    python3 compare.py --dataset source --scale 0.1 --runs 3
    python3 compare.py --dataset source --only ours,bupstash --ops first,restore

All programs take part in the same run, one operation after the other, in an order that rotates from run to run; what disturbs
the machine then disturbs all. What a program restores is compared with the source, and a wrong restore has no figure.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import datasets
import peers as programs
import report
import runner

OPERATIONS = ["first", "unchanged", "change", "restore", "restore-one", "check", "verify", "rebuild", "reclaim"]
# What one repository grows to, as a share of what the data set takes.
REPOSITORY_SHARE = {"source": 0.35, "large": 0.75, "tiny": 0.3}
SIZE_IS_OF_INTEREST = {"first", "unchanged", "change", "reclaim"}


class Comparison:
    def __init__(self, arguments, scratch, kinds):
        self.arguments, self.scratch, self.kinds = arguments, scratch, kinds
        self.source = scratch.path / "source"
        self.generation = 0
        self.samples, self.failures = [], []
        self.checked = set()

    def mutate(self, share):
        self.generation += 1
        datasets.mutate(self.arguments.dataset, self.source, share, self.generation)

    def measure(self, peer, operation, commands, run):
        """Runs and notes one operation. Returns whether it went well."""
        if commands is None:
            return True
        runner.note_load()
        try:
            sample = runner.run_operation(peer, commands, self.scratch.log(peer), self.arguments.timeout)
        except runner.OperationFailed as failure:
            self.fail(peer, operation, failure)
            return False
        sample |= {"peer": peer.name, "operation": operation, "run": run}
        if operation in SIZE_IS_OF_INTEREST:
            sample["repository_bytes"] = runner.folder_bytes(peer.repository)
        self.samples.append(sample)
        print(f"  {peer.name:14} {operation:12} wall {sample['wall_seconds']:8.2f} s  cpu {sample['cpu_seconds']:8.2f} s  peak {sample['rss_bytes'] / 2**20:6.0f} MiB"
              f"  load {sample['load_before']:.1f}", file=sys.stderr, flush=True)
        return True

    def fail(self, peer, operation, failure):
        self.failures.append({"peer": peer.name, "operation": operation, "failure": str(failure)})
        print(f"  {peer.name:14} {operation:12} FAILED: {failure}", file=sys.stderr, flush=True)

    def restore(self, peer, operation, run, files, path):
        target = self.scratch.empty("restored")
        whole = operation == "restore"
        commands = peer.restore(target, self.source) if whole else peer.restore_one(target, self.source, path)
        went_well = self.measure(peer, operation, commands, run)
        if went_well and commands:
            try:
                restored = runner.find_restored(target, self.source, path)
                if not whole and not (restored / path).exists():
                    if not runner.same_content(self.source / path, restored / os.path.basename(path)):
                        raise runner.OperationFailed(f"restored {path} with other content")
                else:
                    # All content once for each program, then a sample: reading everything again takes longer than most restores.
                    every = 50 if peer.name in self.checked else 1
                    runner.compare_trees(self.source, restored, files if whole else [path], every)
                    self.checked.add(peer.name) if whole else None
            except runner.OperationFailed as failure:
                self.samples.pop()
                self.fail(peer, operation, failure)
        shutil.rmtree(target, ignore_errors=True)

    def run(self, run):
        """One run of every wanted operation of every program, from empty repositories."""
        turn = run % len(self.kinds)
        active = [runner.new_peer(kind, self.scratch) for kind in self.kinds[turn:] + self.kinds[:turn]]
        wanted = self.arguments.ops
        self.backup(active, "first", run)
        if wanted & {"unchanged", "reclaim"}:
            self.backup(active, "unchanged", run)
        if wanted & {"change", "reclaim"}:
            self.mutate(0.01)
            self.backup(active, "change", run)
        files = datasets.list_files(self.source)
        path = files[len(files) // 2]
        if wanted & {"restore", "restore-one"}:
            self.each([peer for peer in active if peer.is_baseline], active, self.prepare)
        for operation in ("restore", "restore-one"):
            if operation in wanted:
                for peer in active:
                    self.restore(peer, operation, run, files, path)
        for operation in ("check", "verify", "rebuild"):
            if operation in wanted:
                for peer in active:
                    self.measure(peer, operation, getattr(peer, operation)(), run)
        if "reclaim" in wanted:
            # Six versions in all. The older three hold what a fifth of the files were before; the newer three do not need it.
            self.mutate(0.20)
            for _version in range(3):
                self.each([peer for peer in active if not peer.is_baseline], active, self.prepare)
            for peer in active:
                self.measure(peer, "reclaim", peer.reclaim(), run)

    def backup(self, active, operation, run):
        """A backup of all programs, measured if it is asked for."""
        chosen = [peer for peer in active if operation == "first" or not peer.is_baseline]
        if operation in self.arguments.ops:
            self.each(chosen, active, lambda peer: self.measure(peer, operation, peer.backup(self.source), run))
        else:
            self.each(chosen, active, self.prepare)

    def each(self, chosen, active, step):
        """Programs that fail a backup leave the run: whatever comes after needs it."""
        for peer in list(chosen):
            if not step(peer):
                active.remove(peer)

    def prepare(self, peer):
        """A backup that is needed but not measured."""
        try:
            runner.run_operation(peer, peer.backup(self.source), self.scratch.log(peer), self.arguments.timeout)
        except runner.OperationFailed as failure:
            self.fail(peer, "a backup between", failure)
            return False
        return True


def choose(only):
    """The programs to run: those asked for, or all that this machine has."""
    kinds = []
    for kind in programs.ALL:
        if only and kind.name not in only:
            continue
        if kind("/nonexistent", "/nonexistent").executable():
            kinds.append(kind)
        else:
            print(f"{kind.name}: not found, left out", file=sys.stderr)
    unknown = set(only or []) - {kind.name for kind in programs.ALL}
    if unknown or not kinds:
        raise SystemExit(f"no such program: {', '.join(sorted(unknown)) or 'none of those asked for'}; known: {', '.join(kind.name for kind in programs.ALL)}")
    return kinds


def words(text):
    return [word for word in text.split(",") if word]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=["source", "large", "tiny"], default="source")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", type=words, default=[], help="programs, separated by commas")
    parser.add_argument("--ops", type=words, default=OPERATIONS, help=f"operations, of {','.join(OPERATIONS)}")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where everything is written; default is memory")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds for one operation")
    parser.add_argument("--json", type=Path, help="where samples and medians go")
    arguments = parser.parse_args()
    unknown = set(arguments.ops) - set(OPERATIONS)
    if unknown:
        parser.error(f"no such operation: {', '.join(sorted(unknown))}")
    arguments.ops = set(arguments.ops)
    return arguments


def main():
    arguments = parse()
    kinds = choose(arguments.only)
    with runner.Scratch(arguments.folder) as scratch:
        sizes = {"source": datasets.SOURCE_BYTES, "large": datasets.LARGE_BYTES, "tiny": datasets.TINY_FILES * 5000}
        # The source and one restore, and about a third of it for each repository and its later versions.
        scratch.require(sizes[arguments.dataset] * arguments.scale * (2.2 + REPOSITORY_SHARE[arguments.dataset] * len(kinds)), f"{arguments.dataset} at scale {arguments.scale}")
        started = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        facts = datasets.make(arguments.dataset, scratch.path / "source", arguments.scale)
        comparison = Comparison(arguments, scratch, kinds)
        for run in range(arguments.runs):
            print(f"run {run + 1} of {arguments.runs}", file=sys.stderr, flush=True)
            comparison.run(run)
        versions = {kind.name: kind(scratch.path, scratch.path).version() for kind in kinds}
    result = report.medians(comparison.samples)
    ordered = {operation: result[operation] for operation in OPERATIONS if operation in result}
    document = {"started": started, "machine": report.machine(), "folder": str(arguments.folder), "dataset": facts, "runs": arguments.runs, "versions": versions,
                "unlock": {kind.name: kind.unlock for kind in kinds}, "medians": ordered, "samples": comparison.samples, "failures": comparison.failures}
    if arguments.json:
        report.save(arguments.json, document)
    show(document, [kind.name for kind in kinds], {kind.name for kind in kinds if kind.is_baseline})
    sys.exit(1 if comparison.failures else 0)


def show(document, names, baselines):
    facts = document["dataset"]
    print(f"\n{facts['name']}: {facts['files']} files, {facts['bytes'] / 2**20:.0f} MiB, median file {facts['median_file_bytes']} bytes; {document['runs']} runs in {document['folder']}")
    print(f"machine: {document['machine']}")
    print(f"versions: {document['versions']}\n")
    ours = [name for name in names if name.startswith("ours")]
    if len(names) > len(ours):
        for name in ours:
            print(report.ratio_table(document["medians"], names, baselines, name) + "\n")
    print(report.absolute_tables(document["medians"], names) + "\n")
    print(report.rate_table(document["medians"], names, facts["bytes"]))
    loads = [sample["load_before"] for sample in document["samples"]]
    if loads:
        print(f"\nload average before the operations: {min(loads)} to {max(loads)} (the programs themselves add up to {os.cpu_count()})")
    for failure in document["failures"]:
        print(f"FAILED {failure['peer']} {failure['operation']}: {failure['failure']}")


if __name__ == "__main__":
    main()
