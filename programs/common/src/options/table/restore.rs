// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Choosing versions, listing and restoring.

use super::super::spec::{COUNT, Group, Kind, OptionSpec};
use crate::value::SizeUnit;

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Restore, name, kind, default, help)
}

use Kind::{Boolean, Path, Size};

const PIPELINE: &str = "the restore pipeline balances itself";
const REPEATED: Kind = Kind::Enum {
    values: &["False", "True", "Unique"],
    empty_means: Some("True"),
};
const LOCAL_BLOCKS: &str = "restore-with-local-blocks takes its place";

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "restore-path",
        Path,
        "",
        "Restores below this folder instead of to the original places; @url \
         restores to another destination.",
    ),
    option(
        "overwrite",
        Boolean,
        "",
        "Replaces files that exist with another content, instead of restoring beside them.",
    ),
    option(
        "restore-permissions",
        Boolean,
        "",
        "Restores owner, group and mode as well.",
    ),
    option(
        "restore-symlink-metadata",
        Boolean,
        "",
        "Restores the metadata of symbolic links as well.",
    ),
    option(
        "skip-restore-verification",
        Boolean,
        "",
        "Does not read restored files again to check them.",
    ),
    option(
        "dont-compress-restore-paths",
        Boolean,
        "",
        "Keeps the whole folder structure below restore-path, including the \
         part that all files share.",
    ),
    option(
        "allow-restore-outside-target-directory",
        Boolean,
        "",
        "Permits restored files to leave restore-path through links.",
    ),
    option(
        "restore-all-files",
        REPEATED,
        "False",
        "Restores each chosen version into a folder of its own; Unique leaves \
         out what is the same as before. Needs restore-path.",
    ),
    option(
        "restore-with-local-blocks",
        Boolean,
        "",
        "Takes data from local files where they still have it, instead of downloading.",
    )
    .ignored("files that are right already are not fetched, and data of other local files is not used"),
    option(
        "patch-with-local-blocks",
        Boolean,
        "",
        "Takes data from local files.",
    )
    .deprecated(LOCAL_BLOCKS),
    option("no-local-blocks", Boolean, "", "Takes no data from local files.").deprecated(LOCAL_BLOCKS),
    option(
        "time",
        Kind::TimePoint,
        "",
        "Chooses the newest version that is not newer than this time.",
    ),
    option(
        "version",
        Kind::Versions,
        "",
        "Chooses versions by number; 0 is the newest.",
    ),
    option("all-versions", Boolean, "", "Chooses every version."),
    option(
        "list-prefix-only",
        Boolean,
        "",
        "Lists only the longest folder that all files share.",
    ),
    option(
        "list-folder-contents",
        Boolean,
        "",
        "Lists only what lies directly in a folder.",
    ),
    option("list-sets-only", Boolean, "", "Lists only the versions."),
    option(
        "force-actual-date",
        Boolean,
        "",
        "Shows dates in full instead of by age.",
    )
    .ignored("dates are always shown in full"),
    option(
        "full-result",
        Boolean,
        "",
        "Shows whole lists instead of their first entries.",
    )
    .aliases(&["full-results"]),
    option(
        "restore-cache-max",
        Size(SizeUnit::Megabytes),
        "4gb",
        "How much data a restore keeps for later use.",
    )
    .ignored("a restore reads each stored file once, within a fixed memory"),
    option(
        "restore-cache-evict",
        Kind::Integer { min: 0, max: 100 },
        "50",
        "How much of the cache is emptied at once, in percent.",
    )
    .ignored(PIPELINE),
    option(
        "restore-volume-cache-hint",
        Size(SizeUnit::Megabytes),
        "",
        "How much disk space downloaded files may take during a restore.",
    )
    .ignored("a restore keeps no stored files on disk"),
    option(
        "restore-volume-cache-min-free",
        Size(SizeUnit::Gigabytes),
        "1gb",
        "How much disk space a restore leaves free.",
    )
    .ignored("packs are not kept on disk during a restore"),
    option(
        "restore-file-processors",
        COUNT,
        "",
        "How many files are written at the same time.",
    )
    .ignored(PIPELINE),
    option(
        "restore-volume-decompressors",
        COUNT,
        "",
        "How many stored files are decompressed at the same time.",
    )
    .ignored(PIPELINE),
    option(
        "restore-volume-decryptors",
        COUNT,
        "",
        "How many stored files are decrypted at the same time.",
    )
    .ignored(PIPELINE),
    option(
        "restore-volume-downloaders",
        COUNT,
        "",
        "How many downloads run at the same time.",
    )
    .ignored("the restore pipeline balances itself"),
    option(
        "restore-channel-buffer-size",
        COUNT,
        "",
        "How much waits between two stages of a restore.",
    )
    .ignored(PIPELINE),
    option(
        "restore-preallocate-size",
        Boolean,
        "",
        "Reserves the space of a file before writing it.",
    )
    .ignored("space is reserved where the file system can do it"),
    option("restore-legacy", Boolean, "", "Restores in the old way.")
        .ignored("there is one way of restoring"),
    option(
        "internal-profiling",
        Boolean,
        "",
        "Measures the stages of a restore.",
    )
    .ignored("the stages are always measured; see metrics-file"),
];
