// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Use of the machine.

use super::super::spec::{COUNT, Group, Kind, OptionSpec, one_of};
use crate::value::SizeUnit;

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Performance, name, kind, default, help)
}

use Kind::{Boolean, List, Size, Text, Timespan};

const WORKERS: &str = "the number of workers";

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "concurrency-max-threads",
        COUNT,
        "0",
        "How many threads to use; 0 chooses by the number of cores.",
    ),
    option(
        "concurrency-block-hashers",
        COUNT,
        "",
        "How many workers compute hashes.",
    )
    .mapped(WORKERS),
    option("concurrency-compressors", COUNT, "", "How many workers compress.").mapped(WORKERS),
    option(
        "concurrency-fileprocessors",
        COUNT,
        "",
        "How many files are read at the same time.",
    )
    .mapped("the number of readers"),
    option(
        "cpu-intensity",
        Kind::Integer { min: 1, max: 10 },
        "10",
        "The share of the processor to use, from 1 to 10; 10 means all of it.",
    ),
    option(
        "use-background-io-priority",
        Boolean,
        "",
        "Reads and writes only when no other process wants to.",
    ),
    option("thread-priority", Text, "", "The priority of the threads.")
        .deprecated("it never has an effect; use-background-io-priority and cpu-intensity do"),
    option(
        "allow-sleep",
        Boolean,
        "",
        "Permits the machine to sleep during a run.",
    )
    .not_on_linux(),
    option(
        "disable-on-battery",
        Boolean,
        "",
        "Skips scheduled runs while on battery.",
    ),
    option(
        "force-locale",
        Text,
        "",
        "The language and number format of output.",
    )
    .ignored("output does not depend on the locale"),
    option(
        "benchmark-part",
        one_of(&["Both", "Target", "Backup"]),
        "Both",
        "What the benchmark measures: single requests to the destination, whole backups and a restore, or both.",
    )
    .own(),
    option(
        "benchmark-sizes",
        List(','),
        "64kb,1mb,8mb,32mb",
        "The sizes of objects that the benchmark stores, up to 8 of them, each at most 256mb.",
    )
    .own(),
    option(
        "benchmark-concurrency",
        List(','),
        "1,2,4,8",
        "How many requests the benchmark sends at once, up to 8 numbers, each at most 64.",
    )
    .own(),
    option(
        "benchmark-max-upload",
        Size(SizeUnit::Megabytes),
        "1gb",
        "The most that the benchmark uploads in single requests.",
    )
    .own(),
    option(
        "benchmark-max-time",
        Timespan,
        "5m",
        "The time after which the benchmark sends no more single requests, and once more the time after which it ends its whole runs.",
    )
    .own(),
    option(
        "benchmark-data-size",
        Size(SizeUnit::Megabytes),
        "256mb",
        "How much data the benchmark makes and backs up, or the most that its source folder may hold.",
    )
    .own(),
    option(
        "benchmark-compressibility",
        Kind::Integer { min: 0, max: 100 },
        "50",
        "The percentage of the benchmark's own data that compression takes away.",
    )
    .own(),
    option(
        "benchmark-change-rate",
        Kind::Decimal,
        "2",
        "The percentage of data that changes in a day, for the benchmark's second version and for its number of clients.",
    )
    .own(),
    option(
        "benchmark-client-size",
        Size(SizeUnit::Gigabytes),
        "100gb",
        "The size of a client, for the number of clients that the benchmark finds to fit.",
    )
    .own(),
    option(
        "benchmark-window",
        Timespan,
        "8h",
        "The time in which the backups of all clients must be done.",
    )
    .own(),
    option(
        "plot",
        Kind::Path,
        "",
        "Draws the figures of the benchmark into this file, as SVG.",
    )
    .own(),
    option("unittest-mode", Boolean, "", "For tests of the program itself.").ignored("it is only for tests"),
];
