// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The local database and temporary files.

use super::super::spec::{Group, Kind, OptionSpec};

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::LocalState, name, kind, default, help)
}

use Kind::{Boolean, Path, Timespan};

const NO_QUERIES: &str = "the local database is a cache with few, fixed queries";

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "dbpath",
        Path,
        "",
        "The local database to use. Without it, the database is found by the \
         destination in dbconfig.json.",
    ),
    option(
        "no-local-db",
        Boolean,
        "",
        "Lists or restores from the destination alone, with a temporary database.",
    ),
    option(
        "tempdir",
        Path,
        "",
        "The folder for temporary files; the system's, unless given.",
    ),
    option(
        "asynchronous-upload-folder",
        Path,
        "",
        "Where finished files wait for their upload; the temporary folder, unless given.",
    )
    .ignored("stored files wait in memory, within a fixed budget"),
    option(
        "log-retention",
        Timespan,
        "30D",
        "How long log lines are kept in the local database.",
    )
    .ignored("the local database keeps the results of runs and no log lines"),
    option(
        "auto-vacuum",
        Boolean,
        "",
        "Shrinks the local database after a run.",
    ),
    option(
        "auto-vacuum-interval",
        Timespan,
        "0m",
        "The least time between two runs that shrink the local database.",
    ),
    option(
        "profile-all-database-queries",
        Boolean,
        "",
        "Logs how long each database query takes.",
    )
    .ignored(NO_QUERIES),
    option(
        "long-database-query-threshold",
        Timespan,
        "30m",
        "Logs queries that take longer.",
    )
    .ignored(NO_QUERIES),
    option(
        "repair-only-paths",
        Boolean,
        "",
        "Rebuilds only what is needed to list and choose files.",
    )
    .ignored("listing needs no less of the local database than restoring"),
    option(
        "repair-force-block-use",
        Boolean,
        "",
        "Reads data files even where the index suffices.",
    )
    .ignored("repair reads packs whenever index segments are missing"),
    option(
        "repair-ignore-outdated-database",
        Boolean,
        "",
        "Repairs although the destination is newer than the local database.",
    )
    .ignored("the destination always counts for more than the local database"),
    option(
        "repair-refresh-lock-info",
        Boolean,
        "",
        "Reads the lock dates of stored files again during repair.",
    )
    .ignored("no kind of destination of this version locks stored files"),
    option(
        "refresh-lock-info-complete",
        Boolean,
        "",
        "Reads the lock date of every stored file, also of those that have one recorded.",
    )
    .ignored("no kind of destination of this version locks stored files"),
    option(
        "ignore-update-if-version-exists",
        Boolean,
        "",
        "Leaves a version alone that the local database already has.",
    )
    .ignored("versions never change, so there is nothing to update"),
    option(
        "disable-filepath-cache",
        Boolean,
        "",
        "Does without the cache of paths.",
    )
    .deprecated("it never has an effect"),
    option(
        "file-read-buffer-size",
        Kind::Size(crate::value::SizeUnit::Kilobytes),
        "",
        "How much of a file is read at once.",
    )
    .deprecated("it never has an effect"),
];
