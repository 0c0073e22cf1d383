# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Peak memory of backup and restore: many small files, one huge file, a source tree.

    python3 memory.py                                 ours, all cases at full size (about 35 GiB below --folder)
    python3 memory.py --cases tiny --scale 0.1 --only ours,restic

Memory must depend neither on the number of files nor on their size, so each case also runs at a tenth of its size: `growth` is
the ratio of the two peaks.
"""

import argparse
import hashlib
import shutil
import sys
import time
from pathlib import Path

import compare
import datasets
import report
import runner

CASES = {"tiny": "1,000,000 small files", "huge": "one file of 20 GiB", "source": "100,000 files of a source tree"}
FULL_BYTES = {"tiny": datasets.TINY_FILES * 5000, "huge": 20 * datasets.GIB, "source": datasets.SOURCE_BYTES}


def measure(kind, scratch, case, scale, timeout):
    """Peak memory of a first backup, an unchanged backup and a restore of one data set that is already made."""
    source = scratch.path / "source"
    peer = runner.new_peer(kind, scratch)
    found = {}
    files = datasets.list_files(source)
    digests = None
    for operation in ("first", "unchanged", "restore"):
        runner.note_load()
        if operation == "restore" and case == "huge":
            # No disk is asked to hold it twice: its digest stands for it.
            digests = {file: digest(source / file) for file in files}
            shutil.rmtree(source)
        commands = peer.restore(scratch.empty("restored"), source) if operation == "restore" else peer.backup(source)
        sample = runner.run_operation(peer, commands, scratch.log(peer), timeout)
        found[operation] = sample
        print(f"  {case} x {scale:g} {peer.name:12} {operation:10} peak {sample['rss_bytes'] / 2**20:6.0f} MiB  wall {sample['wall_seconds']:8.1f} s  cpu {sample['cpu_seconds']:8.1f} s",
              file=sys.stderr, flush=True)
    restored = runner.find_restored(scratch.path / "restored", source, files[0])
    if digests is None:
        runner.compare_trees(source, restored, files, content_every=50)
    elif {file: digest(restored / file) for file in files} != digests:
        raise runner.OperationFailed("what was restored is not what was backed up")
    for name in ("restored", f"repository-{kind.name}", f"state-{kind.name}"):
        shutil.rmtree(scratch.path / name, ignore_errors=True)
    return found


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def run_case(case, kinds, scratch, scales, timeout):
    rows, failures = [], []
    for scale in scales:
        scratch.require(FULL_BYTES[case] * scale * (1.7 if case == "huge" else 3.1), f"{case} at scale {scale:g}")
        for kind in kinds:
            # Made for each program anew: one of them may have used it up. The same seed gives the same files.
            shutil.rmtree(scratch.path / "source", ignore_errors=True)
            facts = datasets.make(case, scratch.path / "source", scale)
            try:
                rows.append({"case": case, "scale": scale, "dataset": facts, "peer": kind.name, "operations": measure(kind, scratch, case, scale, timeout)})
            except runner.OperationFailed as failure:
                failures.append(f"{case} x {scale:g} {kind.name}: {failure}")
    return rows, failures


def peak(rows, case, peer, scale, operation):
    for row in rows:
        if (row["case"], row["peer"], row["scale"]) == (case, peer, scale):
            return row["operations"][operation]["rss_bytes"] / 2**20
    return None


def table(rows, scales, kinds):
    lines = []
    for case in CASES:
        for kind in kinds:
            for operation in ("first", "unchanged", "restore"):
                small, large = peak(rows, case, kind.name, scales[0], operation), peak(rows, case, kind.name, scales[-1], operation)
                if large is not None:
                    growth = f"{large / small:.2f}" if small and len(scales) > 1 else "–"
                    lines.append([f"{CASES[case]} (x {scales[-1]:g}), {operation}", kind.name, f"{large:.0f}", growth])
    return report.markdown_table(["case", "program", "peak MiB", "growth from a tenth"], lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=compare.words, default=list(CASES), help=f"of {','.join(CASES)}")
    parser.add_argument("--only", type=compare.words, default=["ours"], help="programs, separated by commas")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--no-growth", action="store_true", help="leave out the run at a tenth of the size")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where everything is written; default is on disk")
    parser.add_argument("--timeout", type=int, default=7200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    kinds = compare.choose(arguments.only)
    scales = [arguments.scale] if arguments.no_growth else [arguments.scale / 10, arguments.scale]
    started = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    rows, failures = [], []
    with runner.Scratch(arguments.folder) as scratch:
        for case in arguments.cases:
            case_rows, case_failures = run_case(case, kinds, scratch, scales, arguments.timeout)
            rows, failures = rows + case_rows, failures + case_failures
    print(table(rows, scales, kinds))
    if arguments.json:
        report.save(arguments.json, {"started": started, "machine": report.machine(), "folder": str(arguments.folder), "rows": rows, "failures": failures})
    for failure in failures:
        print(f"FAILED {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
