# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What a long history costs: restoring the latest of many increments, against restoring a first backup of the same data.

    python3 increments.py --days 100 --scale 0.1 --only ours,restic

Each day 1 % of the source tree changes and is backed up. Then both repositories, the one with the history and a fresh one with a
single backup of the same files, are restored in turn; the ratio of the two is the result.
"""

import argparse
import shutil
import statistics
import sys
import time
from pathlib import Path

import compare
import datasets
import report
import runner


def restore(peer, scratch, source, timeout, content_every):
    target = scratch.empty("restored")
    runner.note_load()
    sample = runner.run_operation(peer, peer.restore(target, source), scratch.log(peer), timeout)
    files = datasets.list_files(source)
    runner.compare_trees(source, runner.find_restored(target, source, files[0]), files, content_every)
    shutil.rmtree(target)
    return sample


def build_histories(kinds, scratch, source, days, timeout):
    """One repository for each program with a backup for every day. Returns the programs and the samples of their daily backups."""
    active = [runner.new_peer(kind, scratch) for kind in kinds]
    daily = {peer.name: [] for peer in active}
    for day in range(days):
        if day:
            datasets.mutate("source", source, 0.01, day)
        for peer in active:
            daily[peer.name].append(runner.run_operation(peer, peer.backup(source), scratch.log(peer), timeout))
        if day % 10 == 9:
            print(f"  day {day + 1} of {days}", file=sys.stderr, flush=True)
    return active, daily


def median(samples, measure):
    return statistics.median(sample[measure] for sample in samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=5, help="restores of each repository")
    parser.add_argument("--only", type=compare.words, default=["ours"], help="programs, separated by commas")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--timeout", type=int, default=1800)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    kinds = [kind for kind in compare.choose(arguments.only) if not kind.is_baseline]
    rows, document = [], {"started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "machine": report.machine(), "days": arguments.days, "programs": {}}
    with runner.Scratch(arguments.folder) as scratch:
        scratch.require(datasets.SOURCE_BYTES * arguments.scale * (2.2 + len(kinds) * (0.6 + 0.01 * arguments.days)), f"{arguments.days} days at scale {arguments.scale}")
        source = scratch.path / "source"
        document["dataset"] = datasets.make("source", source, arguments.scale)
        histories, daily = build_histories(kinds, scratch, source, arguments.days, arguments.timeout)
        for old in histories:
            fresh = runner.new_peer(type(old), scratch, "-fresh")
            runner.run_operation(fresh, fresh.backup(source), scratch.log(fresh), arguments.timeout)
            latest, first = [], []
            for run in range(arguments.runs):
                # In turn, so that a disturbance meets both.
                latest.append(restore(old, scratch, source, arguments.timeout, 50 if run else 1))
                first.append(restore(fresh, scratch, source, arguments.timeout, 50))
            rows.append([old.name] + [f"{median(samples, measure):.2f}" for measure in ("wall_seconds", "cpu_seconds") for samples in (latest, first)]
                        + [f"{median(latest, measure) / median(first, measure):.2f}" for measure in ("wall_seconds", "cpu_seconds")]
                        + [f"{runner.folder_bytes(old.repository) / 2**20:.1f}", f"{runner.folder_bytes(fresh.repository) / 2**20:.1f}",
                           f"{median(daily[old.name][1:] or daily[old.name], 'wall_seconds'):.2f}"])
            document["programs"][old.name] = {"latest": latest, "first": first, "daily": daily[old.name]}
    head = ["program", "wall s, latest", "wall s, first", "CPU s, latest", "CPU s, first", "wall ratio", "CPU ratio", "repository MiB", "fresh MiB", "daily backup s"]
    print(f"\nrestore after {arguments.days} days of 1 % change, {document['dataset']['files']} files\n\n" + report.markdown_table(head, rows))
    if arguments.json:
        report.save(arguments.json, document)


if __name__ == "__main__":
    main()
