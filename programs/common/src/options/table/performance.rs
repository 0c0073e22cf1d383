// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Use of the machine.

use super::super::spec::{COUNT, Group, Kind, OptionSpec};

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Performance, name, kind, default, help)
}

use Kind::{Boolean, Text};

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
    option("unittest-mode", Boolean, "", "For tests of the program itself.").ignored("it is only for tests"),
];
