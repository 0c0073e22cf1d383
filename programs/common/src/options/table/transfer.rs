// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How data travels to and from the destination.

use super::super::spec::{ANY_INTEGER, COUNT, Group, Kind, OptionSpec};
use crate::value::SizeUnit;

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Transfer, name, kind, default, help)
}

use Kind::{Boolean, List, Size, Text, Timespan};

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "number-of-retries",
        COUNT,
        "5",
        "How often a failed request is tried again.",
    ),
    option(
        "retry-delay",
        Timespan,
        "10s",
        "How long to wait before trying again.",
    ),
    option(
        "retry-with-exponential-backoff",
        Boolean,
        "",
        "Doubles the wait after each failure.",
    ),
    option(
        "asynchronous-upload-limit",
        COUNT,
        "4",
        "How many uploads run at the same time; 0 sets no limit of its own.",
    )
    .aliases(&["asynchronous-concurrent-upload-limit"]),
    option(
        "synchronous-upload",
        Boolean,
        "",
        "Uploads one file at a time and waits for each.",
    ),
    option(
        "throttle-upload",
        Size(SizeUnit::Kilobytes),
        "0kb",
        "The most to upload per second; 0 means no limit.",
    ),
    option(
        "throttle-download",
        Size(SizeUnit::Kilobytes),
        "0kb",
        "The most to download per second; 0 means no limit.",
    ),
    option(
        "throttle-disabled",
        Boolean,
        "",
        "Ignores the two limits for this run.",
    ),
    option(
        "throttle-disabled-backends",
        List(','),
        "",
        "Ignores the two limits for these kinds of destination.",
    ),
    option(
        "disable-streaming-transfers",
        Boolean,
        "",
        "Hands whole files to the destination.",
    )
    .ignored("transfers are always streamed, within a fixed memory budget"),
    option(
        "read-write-timeout",
        Timespan,
        "30s",
        "Gives up a transfer after this long without progress; 0s never.",
    ),
    option(
        "short-timeout",
        Timespan,
        "30s",
        "Gives up a small request after this time; 0s never.",
    ),
    option(
        "list-timeout",
        Timespan,
        "10m",
        "Gives up listing the destination after this time; 0s never.",
    ),
    option(
        "no-connection-reuse",
        Boolean,
        "",
        "Opens a new connection for each request.",
    )
    .ignored("connections are always reused"),
    option(
        "no-conditional-writes",
        Boolean,
        "",
        "For targets that do not honour a condition on writing: looks for a name before writing it. Only one machine at a time may then use the target.",
    )
    .own(),
    option(
        "list-verify-uploads",
        Boolean,
        "",
        "Lists after each upload to see that the file arrived with its size.",
    )
    .ignored("an upload counts only when the destination has confirmed it, and the sample behind each backup reads stored files back"),
    option(
        "disable-autocreate-folder",
        Boolean,
        "",
        "Does not create a missing destination folder.",
    ),
    option(
        "case-insensitive-remote",
        Boolean,
        "",
        "Compares the names of stored files without regard to case.",
    )
    .ignored("the names of stored files have lower-case letters only"),
    option(
        "soft-delete-prefix",
        Text,
        "",
        "Renames stored files with this prefix instead of deleting them; the \
         prefix may name a folder.",
    )
    .ignored("stored files are deleted, never renamed"),
    option(
        "prevent-backend-rename",
        Boolean,
        "",
        "Copies instead of renaming at the destination.",
    )
    .ignored("nothing is renamed at the destination, except in a local folder"),
    option(
        "quota-size",
        Size(SizeUnit::Megabytes),
        "",
        "How much space the backup should use at most. Exceeding it warns and \
         never stops a backup.",
    ),
    option(
        "quota-warning-threshold",
        Kind::Integer { min: 0, max: 100 },
        "10",
        "Warns when less than this percentage of the space is free.",
    ),
    option(
        "quota-disable",
        Boolean,
        "",
        "Does not ask the destination for its free space.",
    ),
    option(
        "skip-file-hash-checks",
        Boolean,
        "",
        "Accepts stored files whose hash differs, in order to save what can be saved.",
    )
    .ignored("a restore takes whatever is whole and names what is not"),
    option(
        "dont-read-manifests",
        Boolean,
        "",
        "Does not look at the description inside stored files.",
    )
    .ignored("the header of each object is always checked"),
    option(
        "log-http-requests",
        Boolean,
        "",
        "Logs each request to the destination.",
    )
    .ignored("requests are counted by the metrics and not logged one by one"),
    option(
        "log-socket-data",
        ANY_INTEGER,
        "-1",
        "Logs this many bytes of each network packet.",
    )
    .ignored("network data is not logged because it may hold credentials"),
    option(
        "remote-sync-json-config",
        Kind::Secret,
        "",
        "Further destinations to copy the backup to when it is done: JSON text \
         or the path of a JSON file.",
    ),
    option(
        "remote-file-lock-duration",
        Timespan,
        "",
        "Locks every stored file of a new version against deletion for this \
         long, where the destination can.",
    ),
];
