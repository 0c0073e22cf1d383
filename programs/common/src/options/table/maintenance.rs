// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verification, retention and reclaiming of space.

use super::super::spec::{COUNT, Group, Kind, OptionSpec};
use crate::value::SizeUnit;

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Maintenance, name, kind, default, help)
}

use Kind::{Boolean, Decimal, Size, Text, Timespan};

const VERIFICATION: Kind = Kind::Enum {
    values: &["False", "True", "ListAndIndexes", "IndexesOnly"],
    empty_means: Some("True"),
};

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "exclusive",
        Boolean,
        "",
        "Nobody else uses this backup now: unfinished backups of other machines count as over. Never give it while one may be running.",
    )
    .own(),
    option(
        "session-age-max",
        Timespan,
        "14D",
        "The age from which an unfinished backup of another machine counts as over when space is reclaimed. One that still runs stores \
         again what it loses by that.",
    )
    .own(),
    option(
        "no-backend-verification",
        Boolean,
        "",
        "Neither compares the destination with the local database before a \
         backup nor tests samples after it.",
    ),
    option(
        "backup-test-samples",
        COUNT,
        "1",
        "How many sets of stored files are tested after a backup; 0 tests none.",
    ),
    option(
        "backup-test-percentage",
        Decimal,
        "0.1",
        "The percentage of versions tested after a backup; the larger of this \
         and the number of samples counts.",
    ),
    option(
        "full-remote-verification",
        VERIFICATION,
        "False",
        "Opens and checks the content of tested files, or of some kinds of \
         them, instead of the hash alone.",
    )
    .mapped("whatever is tested is opened and checked in full"),
    option(
        "dont-replace-faulty-index-files",
        Boolean,
        "",
        "Leaves damaged index files as they are.",
    )
    .ignored("tests change nothing; only the command repair does"),
    option(
        "full-block-verification",
        Boolean,
        "",
        "Checks every piece of data during restore.",
    )
    .ignored("every chunk is always checked"),
    option(
        "auto-cleanup",
        Boolean,
        "",
        "Repairs what an interrupted run has left behind.",
    )
    .ignored("what an interrupted run leaves behind does no harm and goes with a later compaction"),
    option(
        "no-auto-compact",
        Boolean,
        "",
        "Does not reclaim space after a backup.",
    ),
    option(
        "auto-compact-interval",
        Timespan,
        "0m",
        "The least time between two runs that reclaim space.",
    ),
    option(
        "threshold",
        Kind::Integer { min: 0, max: 100 },
        "25",
        "The percentage of waste from which stored files are rewritten.",
    ),
    option(
        "small-file-size",
        Size(SizeUnit::Megabytes),
        "",
        "Below this size a stored file counts as small; a fifth of dblock-size, unless given.",
    ),
    option(
        "small-file-max-count",
        COUNT,
        "20",
        "How many small stored files there may be before they are merged.",
    ),
    option(
        "keep-time",
        Timespan,
        "",
        "Removes versions older than this, but never the newest complete one.",
    ),
    option(
        "keep-versions",
        COUNT,
        "0",
        "Keeps this many complete versions; 0 keeps all.",
    ),
    option(
        "retention-policy",
        Text,
        "",
        "Thins out versions with age: pairs of reach and interval such as 1W:1D,4W:1W,12M:1M.",
    ),
    option(
        "heal-from",
        Kind::Secret,
        "",
        "The URL of a second destination of the same backup, from which repair fetches what is missing or damaged.",
    )
    .own(),
    option(
        "heal-versions",
        Boolean,
        "",
        "With heal-from: brings back also versions that only the second destination has, even if they were deleted on purpose.",
    )
    .own(),
    option(
        "give-up",
        Kind::List(','),
        "",
        "Removes versions that cannot be read any more, by the names that \
         list-broken-files shows. What they alone need is lost with them.",
    )
    .own(),
    option(
        "allow-full-removal",
        Boolean,
        "",
        "Permits removing the last version.",
    ),
    option(
        "disable-time-tolerance",
        Boolean,
        "",
        "Removes versions to the second, instead of leaving a short grace time \
         for the moment a backup starts.",
    ),
    option(
        "disable-filelist-consistency-checks",
        Boolean,
        "",
        "Does without the checks of each version.",
    )
    .ignored("the checks are part of reading"),
    option(
        "rebuild-missing-dblock-files",
        Boolean,
        "",
        "Makes lost data again from the source files, where they still have it.",
    )
    .ignored("the next backup stores again what the sources still have"),
    option(
        "disable-partial-dblock-recovery",
        Boolean,
        "",
        "Makes lost files again only if all of their data is found.",
    )
    .ignored("whatever can be found is recovered"),
    option(
        "disable-replace-missing-metadata",
        Boolean,
        "",
        "Does not replace lost metadata by an empty one.",
    )
    .ignored("metadata is part of the tree and never replaced"),
    option(
        "reduced-purge-statistics",
        Boolean,
        "",
        "Does without some of the numbers after a purge.",
    )
    .ignored("the numbers cost nothing here"),
    option(
        "dry-run",
        Boolean,
        "",
        "Shows what would be done, and changes nothing.",
    )
    .aliases(&["dryrun"]),
];
