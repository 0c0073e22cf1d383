// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which files are backed up, and when a file counts as changed.

use super::super::spec::{Group, Kind, OptionSpec, one_of};
use crate::value::SizeUnit;

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Source, name, kind, default, help)
}

use Kind::{Boolean, Flags, List, PathList, Size, Text};

const ATTRIBUTES: &[&str] = &[
    "ReadOnly",
    "Hidden",
    "System",
    "Directory",
    "Archive",
    "Device",
    "Normal",
    "Temporary",
    "SparseFile",
    "ReparsePoint",
    "Compressed",
    "Offline",
    "NotContentIndexed",
    "Encrypted",
    "IntegrityStream",
    "NoScrubData",
];
const NO_ATTRIBUTE: &str = "Linux has no such attribute";

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "symlink-policy",
        one_of(&["Store", "Follow", "Ignore"]),
        "Store",
        "What to do with symbolic links: store the link, back up what it points to, or skip it.",
    ),
    option(
        "hardlink-policy",
        one_of(&["First", "All", "None"]),
        "All",
        "What to do with files that have several names: back up the first name, \
         every name, or none.",
    ),
    option(
        "exclude-files-attributes",
        Flags(ATTRIBUTES),
        "",
        "Skips files with one of these attributes. Hidden means a name that begins with a dot.",
    )
    .value_warnings(&[
        ("System", NO_ATTRIBUTE),
        ("Directory", NO_ATTRIBUTE),
        ("Archive", NO_ATTRIBUTE),
        ("Device", NO_ATTRIBUTE),
        ("Normal", NO_ATTRIBUTE),
        ("Temporary", NO_ATTRIBUTE),
        ("SparseFile", NO_ATTRIBUTE),
        ("ReparsePoint", NO_ATTRIBUTE),
        ("Compressed", NO_ATTRIBUTE),
        ("Offline", NO_ATTRIBUTE),
        ("NotContentIndexed", NO_ATTRIBUTE),
        ("Encrypted", NO_ATTRIBUTE),
        ("IntegrityStream", NO_ATTRIBUTE),
        ("NoScrubData", NO_ATTRIBUTE),
    ]),
    option(
        "skip-files-larger-than",
        Size(SizeUnit::Megabytes),
        "",
        "Skips files above this size, in backup and in restore.",
    ),
    option(
        "ignore-filenames",
        List(','),
        "CACHEDIR.TAG",
        "Skips every folder that contains a file with one of these names.",
    ),
    option(
        "exclude-empty-folders",
        Boolean,
        "",
        "Leaves out folders without content.",
    ),
    option(
        "disable-backup-exclusion-xattr",
        Boolean,
        "",
        "Backs up files although an extended attribute marks them as excluded.",
    ),
    option(
        "ignore-advisory-locking",
        Boolean,
        "",
        "Reads files that another process has locked with flock; otherwise they \
         are skipped with a warning.",
    ),
    option(
        "changed-files",
        PathList,
        "",
        "Looks at these paths only and takes all others from the previous version.",
    ),
    option(
        "deleted-files",
        PathList,
        "",
        "Together with changed-files, the paths to treat as deleted.",
    ),
    option(
        "disable-filetime-check",
        Boolean,
        "",
        "Reads every file, whatever its times say.",
    ),
    option(
        "check-filetime-only",
        Boolean,
        "",
        "Compares the modification time alone, and neither size nor other metadata.",
    ),
    option(
        "skip-metadata",
        Boolean,
        "",
        "Stores no owners, modes and attributes.",
    ),
    option(
        "allow-missing-source",
        Boolean,
        "",
        "Does not warn when a source does not exist.",
    ),
    option(
        "abort-if-source-missing",
        Boolean,
        "",
        "Stops with an error when a source does not exist.",
    ),
    option(
        "prevent-empty-source",
        Boolean,
        "",
        "Stops with an error when a source folder is empty, as it is when a disk is not mounted.",
    ),
    option(
        "one-file-system",
        Boolean,
        "",
        "Does not enter folders on other file systems than the source's.",
    )
    .own(),
    option(
        "respect-nodump",
        Boolean,
        "",
        "Skips files that carry the no-dump flag of the file system.",
    )
    .own(),
    option(
        "snapshot-policy",
        one_of(&["Off", "Auto", "On", "Required"]),
        "Off",
        "Reads from a snapshot of the file system, LVM or btrfs: never, \
         silently if possible, with a warning if not possible, or not without. Needs root.",
    ),
    option(
        "upload-unchanged-backups",
        Boolean,
        "",
        "Stores a version even if nothing has changed.",
    ),
    option(
        "disable-synthetic-filelist",
        Boolean,
        "",
        "Does not first store a version for an interrupted run.",
    )
    .ignored("an interrupted run leaves no version behind, except when it was asked to stop early"),
    option(
        "disable-file-scanner",
        Boolean,
        "",
        "Does not count files ahead, so that no share of progress is known.",
    ),
    option("snapshot-provider", Text, "", "The provider of volume snapshots.").not_on_linux(),
    option(
        "vss-exclude-writers",
        Text,
        "",
        "Writers left out of a volume shadow copy.",
    )
    .not_on_linux(),
    option(
        "vss-use-mapping",
        Boolean,
        "",
        "Maps a volume shadow copy to a drive letter.",
    )
    .not_on_linux(),
    option(
        "usn-policy",
        one_of(&["Off", "Auto", "On", "Required"]),
        "Off",
        "Uses the change journal of NTFS.",
    )
    .not_on_linux(),
    option(
        "backupread-policy",
        one_of(&["Off", "Auto", "On", "Required"]),
        "Off",
        "Reads with the backup privilege of Windows.",
    )
    .not_on_linux(),
    option(
        "exclude-non-local-files",
        Boolean,
        "",
        "Skips files whose content is in a cloud.",
    )
    .not_on_linux(),
    option(
        "enable-ads-backup",
        Boolean,
        "",
        "Backs up alternate data streams.",
    )
    .not_on_linux(),
    option(
        "disable-ads-restore",
        Boolean,
        "",
        "Does not restore alternate data streams.",
    )
    .not_on_linux(),
    option(
        "photos-handling",
        Text,
        "",
        "How photo libraries of macOS are read.",
    )
    .not_on_linux(),
    option(
        "photos-library-path",
        Kind::Path,
        "",
        "Where the photo library of macOS is.",
    )
    .not_on_linux(),
];
