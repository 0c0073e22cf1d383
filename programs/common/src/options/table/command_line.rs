// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options of the command line itself.

use super::super::spec::{COUNT, Group, Kind, OptionSpec};

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::CommandLine, name, kind, default, help)
}

use Kind::{Boolean, List, Path, Text};

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "parameters-file",
        Path,
        "",
        "Reads further options from a file, one --option=value per line. Values \
         in the file win over the command line.",
    )
    .aliases(&["parameter-file", "parameterfile"]),
    option(
        "include",
        Text,
        "",
        "Includes the paths that match. Includes and excludes are tried in the \
         order given; the first match decides.",
    ),
    option(
        "exclude",
        Text,
        "",
        "Excludes the paths that match. Includes and excludes are tried in the \
         order given; the first match decides.",
    ),
    option(
        "control-files",
        Kind::PathList,
        "",
        "Stores further files with the version, outside the backed-up tree. For \
         list and restore, chooses these files instead of the data.",
    ),
    option("quiet-console", Boolean, "", "Prints nothing but errors."),
    option(
        "auto-update",
        Boolean,
        "",
        "Looks for a newer release before the command runs.",
    )
    .ignored("updates come with the system's package manager"),
    option(
        "portable-mode",
        Boolean,
        "",
        "Keeps the data folder beside the program.",
    ),
    option(
        "server-datafolder",
        Path,
        "",
        "The folder for settings and local databases, instead of the usual one.",
    ),
    option(
        "allowed-backend-modules",
        List(','),
        "",
        "Only these kinds of destination may be used.",
    ),
    option(
        "allowed-encryption-modules",
        List(','),
        "",
        "Only these kinds of encryption may be used.",
    ),
    option(
        "allowed-compression-modules",
        List(','),
        "",
        "Only these kinds of compression may be used.",
    )
    .ignored("there is one compression, zstd"),
    option(
        "json",
        Boolean,
        "",
        "Prints one JSON object per line, an event or a result, instead of text.",
    )
    .own(),
    option(
        "stdin",
        Boolean,
        "",
        "Backs up what comes in on standard input as one file instead of \
         reading sources.",
    )
    .own(),
    option(
        "stdin-name",
        Text,
        "stdin",
        "The file name under which standard input is recorded.",
    )
    .own(),
    option(
        "metrics-file",
        Path,
        "",
        "Writes the metrics of the run in Prometheus text format to this file \
         at the end.",
    )
    .own(),
    option(
        "workers",
        COUNT,
        "0",
        "How many workers compress, hash and encrypt; 0 means one per core.",
    )
    .own(),
];
