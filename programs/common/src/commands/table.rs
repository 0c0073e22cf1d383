// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every command: names, arguments, what it does, and which options matter to it.

use super::spec::{CommandGroup, CommandSpec, command};
use CommandGroup::{Commands, General, Locking, Repair, Searching};

const VERSIONS: &[&str] = &[
    "version",
    "time",
    "passphrase",
    "dbpath",
    "no-local-db",
    "full-result",
];

/// All commands in the order of help.
pub const COMMANDS: &[CommandSpec] = &[
    command(
        General,
        "help",
        "[topic]",
        (0, None),
        "Explains a command, a topic or an option.",
    ),
    command(
        General,
        "example",
        "",
        (0, Some(0)),
        "Shows sample command lines.",
    )
    .aliases(&["examples"]),
    command(
        General,
        "changelog",
        "",
        (0, Some(0)),
        "Shows what changed in each release.",
    ),
    command(
        Commands,
        "backup",
        "URL source…",
        (1, None),
        "Stores a new version of the sources. The first backup creates the \
         destination folder.",
    )
    .sources()
    .options(&[
        "passphrase",
        "no-encryption",
        "include",
        "exclude",
        "dblock-size",
        "keep-time",
        "keep-versions",
        "retention-policy",
        "symlink-policy",
        "hardlink-policy",
        "one-file-system",
        "skip-files-larger-than",
        "changed-files",
        "deleted-files",
        "control-files",
        "zstd-level",
        "throttle-upload",
        "number-of-retries",
        "backup-name",
        "dbpath",
        "stdin",
        "stdin-name",
        "dry-run",
        "json",
    ]),
    command(
        Commands,
        "restore",
        "URL [file…]",
        (1, None),
        "Restores files, or everything if none are named, from the newest \
         version unless another is chosen.",
    )
    .read_only()
    .options(&[
        "restore-path",
        "overwrite",
        "restore-permissions",
        "version",
        "time",
        "include",
        "exclude",
        "passphrase",
        "identity",
        "no-local-db",
        "skip-restore-verification",
        "dont-compress-restore-paths",
        "restore-all-files",
        "control-files",
        "dry-run",
        "json",
    ]),
    command(
        Commands,
        "delete",
        "URL",
        (1, Some(1)),
        "Removes versions: those named, or those that the retention options do \
         not keep.",
    )
    .needs_one_of(&[
        "version",
        "keep-time",
        "keep-versions",
        "retention-policy",
        "give-up",
    ])
    .options(&[
        "version",
        "keep-time",
        "keep-versions",
        "retention-policy",
        "give-up",
        "allow-full-removal",
        "disable-time-tolerance",
        "passphrase",
        "dry-run",
    ]),
    command(
        Commands,
        "compact",
        "URL",
        (1, Some(1)),
        "Reclaims the space of data that no version uses.",
    )
    .options(&[
        "threshold",
        "small-file-size",
        "small-file-max-count",
        "dblock-size",
        "passphrase",
        "dry-run",
    ]),
    command(
        Commands,
        "test",
        "URL [samples|all]",
        (1, Some(2)),
        "Reads samples of the stored files, one set unless told otherwise, and \
         checks them.",
    )
    .aliases(&["verify"])
    .read_only()
    .options(&[
        "full-remote-verification",
        "full-result",
        "version",
        "time",
        "passphrase",
        "json",
    ]),
    command(
        Commands,
        "key",
        "list|add|remove|change|export|trust URL [key|file]",
        (2, Some(3)),
        "Manages the keys that open a repository.",
    )
    .own()
    .options(&[
        "passphrase",
        "new-passphrase",
        "identity",
        "recipient",
        "label",
        "write-only",
    ]),
    command(
        Commands,
        "dump",
        "URL file",
        (2, Some(2)),
        "Writes the content of one stored file to standard output.",
    )
    .own()
    .read_only()
    .options(&["version", "time", "passphrase", "identity"]),
    command(
        Commands,
        "sync",
        "URL second-URL",
        (2, Some(2)),
        "Makes a second destination follow the first: copies every stored file \
         that it lacks, each opened and checked before.",
    )
    .options(&[
        "sync-then-delete",
        "sync-verify-hash",
        "sync-recheck",
        "passphrase",
        "identity",
        "no-encryption",
        "disable-autocreate-folder",
        "full-result",
        "dry-run",
        "json",
    ]),
    command(
        Commands,
        "benchmark",
        "URL [source-folder]",
        (1, Some(2)),
        "Measures what a destination and this machine bear: requests of several \
         sizes, a backup and a restore. Leaves nothing behind.",
    )
    .own()
    .options(&[
        "benchmark-part",
        "benchmark-sizes",
        "benchmark-concurrency",
        "benchmark-max-upload",
        "benchmark-max-time",
        "benchmark-data-size",
        "benchmark-compressibility",
        "benchmark-change-rate",
        "benchmark-client-size",
        "benchmark-window",
        "plot",
        "dblock-size",
        "asynchronous-upload-limit",
        "tempdir",
        "json",
    ]),
    command(
        Searching,
        "find",
        "URL [filter…]",
        (1, None),
        "Searches all versions; without a filter, lists the versions.",
    )
    .read_only()
    .options(VERSIONS),
    command(
        Searching,
        "list",
        "URL [filter…]",
        (1, None),
        "Lists the files of the newest version; without a filter, lists the \
         versions.",
    )
    .read_only()
    .options(VERSIONS),
    command(
        Searching,
        "list-filesets",
        "URL",
        (1, Some(1)),
        "Lists the versions.",
    )
    .read_only()
    .options(&["passphrase", "dbpath", "no-local-db", "json"]),
    command(
        Searching,
        "list-folder-content",
        "URL [folder]",
        (1, Some(2)),
        "Lists what lies directly in a folder.",
    )
    .aliases(&["list-folder-contents"])
    .read_only()
    .options(VERSIONS),
    command(
        Searching,
        "list-file-versions",
        "URL file…",
        (2, None),
        "Lists the versions of files.",
    )
    .read_only()
    .options(VERSIONS),
    command(
        Searching,
        "search-entries",
        "URL [filter…]",
        (1, None),
        "Searches paths in the chosen versions.",
    )
    .aliases(&["search", "search-files"])
    .read_only()
    .options(VERSIONS),
    command(
        Searching,
        "compare",
        "URL [base-version] [compare-version]",
        (1, Some(3)),
        "Shows what was added, modified and deleted between two versions.",
    )
    .read_only()
    .options(&["full-result", "include", "exclude", "passphrase"]),
    command(
        Searching,
        "affected",
        "URL remote-file…",
        (2, None),
        "Shows which versions and files need the named stored files.",
    )
    .read_only()
    .options(&["full-result", "passphrase"]),
    command(
        Repair,
        "repair",
        "URL",
        (1, Some(1)),
        "Brings the local database and the destination into agreement; makes \
         the local database again if it is missing; fetches what is damaged \
         from a second destination.",
    )
    .options(&[
        "heal-from",
        "heal-versions",
        "full-remote-verification",
        "dry-run",
        "version",
        "time",
        "repair-only-paths",
        "repair-ignore-outdated-database",
        "rebuild-missing-dblock-files",
        "passphrase",
        "dbpath",
    ]),
    command(
        Repair,
        "purge",
        "URL file…",
        (1, None),
        "Removes files from versions that exist.",
    )
    .options(&["include", "exclude", "version", "time", "passphrase", "dry-run"]),
    command(
        Repair,
        "list-broken-files",
        "URL [filter…]",
        (1, None),
        "Lists files that cannot be restored because stored data is gone.",
    )
    .read_only()
    .options(VERSIONS),
    command(
        Repair,
        "purge-broken-files",
        "URL",
        (1, Some(1)),
        "Removes files that cannot be restored from the versions.",
    )
    .options(&["passphrase", "dry-run"]),
    command(
        Repair,
        "vacuum",
        "URL",
        (1, Some(1)),
        "Shrinks the local database.",
    )
    .options(&["dbpath"]),
    command(
        Locking,
        "set-locks",
        "URL",
        (1, Some(1)),
        "Locks the stored files of versions against deletion.",
    )
    .aliases(&["setlocks"])
    .needs_one_of(&["version", "time", "all-versions"])
    .options(&["version", "time", "all-versions", "remote-file-lock-duration"]),
    command(
        Locking,
        "read-lock-info",
        "URL",
        (1, Some(1)),
        "Reads the lock dates of stored files again.",
    )
    .aliases(&["readlockinfo"])
    .options(&["version", "time", "all-versions", "refresh-lock-info-complete"]),
    command(
        CommandGroup::Debug,
        "create-report",
        "URL [output]",
        (1, Some(2)),
        "Writes a copy of the local database without readable paths, for bug \
         reports.",
    )
    .read_only()
    .options(&["dbpath"]),
    command(
        CommandGroup::Debug,
        "test-filters",
        "source…",
        (0, None),
        "Shows which paths the filters include and exclude.",
    )
    .aliases(&["test-filter"])
    .sources()
    .read_only()
    .options(&[
        "include",
        "exclude",
        "symlink-policy",
        "hardlink-policy",
        "skip-files-larger-than",
        "console-log-level",
    ]),
    command(
        CommandGroup::Debug,
        "system-info",
        "",
        (0, Some(0)),
        "Shows versions, folders and modules.",
    )
    .aliases(&["systeminfo"])
    .read_only(),
    command(
        CommandGroup::Debug,
        "send-mail",
        "",
        (0, Some(0)),
        "Sends a mail to try the mail options.",
    )
    .read_only()
    .options(&[
        "send-mail-to",
        "send-mail-from",
        "send-mail-url",
        "send-mail-username",
        "send-mail-password",
        "send-mail-subject",
        "send-mail-body",
    ]),
];
