# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Medians, ratios and tables from the samples of a benchmark, and what is known about the machine."""

import json
import os
import platform
import statistics
from pathlib import Path

MEASURES = {"wall_seconds": ("wall s", 1.0, 2), "cpu_seconds": ("CPU s", 1.0, 2), "rss_bytes": ("peak MiB", 2**20, 0), "repository_bytes": ("repository MiB", 2**20, 1)}


def machine():
    facts = {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            facts["cpu"] = line.split(":", 1)[1].strip()
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            facts["memory_gib"] = round(int(line.split()[1]) / 2**20, 1)
    return facts


def medians(samples):
    """{operation: {program: {measure: median}}} from a list of samples."""
    grouped = {}
    for sample in samples:
        for measure in MEASURES:
            if sample.get(measure) is not None:
                grouped.setdefault(sample["operation"], {}).setdefault(sample["peer"], {}).setdefault(measure, []).append(sample[measure])
    return {operation: {peer: {measure: statistics.median(values) for measure, values in measures.items()} for peer, measures in peers.items()}
            for operation, peers in grouped.items()}


def markdown_table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def absolute_tables(result, peers):
    """One table for each measure: operations down, programs across."""
    parts = []
    for measure, (label, unit, digits) in MEASURES.items():
        rows = []
        for operation, by_peer in result.items():
            values = [by_peer.get(peer, {}).get(measure) for peer in peers]
            if any(value is not None for value in values):
                rows.append([operation] + ["–" if value is None else f"{value / unit:.{digits}f}" for value in values])
        if rows:
            parts.append(f"{label}, median\n\n" + markdown_table(["operation"] + peers, rows))
    return "\n\n".join(parts)


def rate_table(result, peers, source_bytes):
    """Speed and CPU per GB of the operations that touch every byte of the source."""
    rows = []
    for operation in ("first", "restore", "verify"):
        by_peer = result.get(operation, {})
        for label, figure in (("MB/s", lambda found: f"{source_bytes / 1e6 / found['wall_seconds']:.0f}"), ("CPU s/GB", lambda found: f"{found['cpu_seconds'] / source_bytes * 1e9:.2f}")):
            if by_peer:
                rows.append([f"{operation}, {label}"] + [figure(by_peer[peer]) if peer in by_peer else "–" for peer in peers])
    return "per byte of the source\n\n" + markdown_table(["operation"] + peers, rows) if rows else ""


def ratio_table(result, peers, baselines, ours="ours"):
    """Ours against the best other program, per measure: 0.50 is half of it. The best one is named."""
    rows = []
    for operation, by_peer in result.items():
        row = [operation]
        for measure in MEASURES:
            others = {peer: by_peer[peer][measure] for peer in peers if not peer.startswith("ours") and peer not in baselines and measure in by_peer.get(peer, {})}
            mine = by_peer.get(ours, {}).get(measure)
            if mine is None or not others:
                row.append("–")
                continue
            best = min(others, key=others.get)
            row.append(f"{mine / others[best]:.2f} ({best})" if others[best] else "–")
        rows.append(row)
    return f"{ours} / best other program (smaller is better)\n\n" + markdown_table(["operation"] + [MEASURES[measure][0] for measure in MEASURES], rows)


def save(path, document):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
