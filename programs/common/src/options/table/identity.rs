// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names, modules, secrets, logging, the scripts around an operation, and the mirror command.

use super::super::spec::{Group, Kind, LOG_LEVEL, OptionSpec, one_of};
use Kind::{Boolean, List, Path, Secret, Text, Timespan};

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Identity, name, kind, default, help)
}

const fn logging(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Logging, name, kind, default, help)
}

const fn script(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::RunScript, name, kind, default, help)
}

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "backup-name",
        Text,
        "",
        "The name of the backup in reports; taken from the program's name, unless given.",
    ),
    option("backup-id", Text, "", "The id of the backup in reports."),
    option("machine-id", Text, "", "The id of this machine in reports."),
    option("machine-name", Text, "", "The name of this machine in reports."),
    option(
        "next-scheduled-run",
        Text,
        "",
        "When the next run is due; shown in reports.",
    ),
    option(
        "enable-module",
        List(','),
        "",
        "Switches on modules that are off.",
    )
    .mapped("every module is on unless disable-module names it"),
    option(
        "disable-module",
        List(','),
        "",
        "Switches off modules that are on.",
    ),
    option(
        "secret-provider",
        Secret,
        "",
        "The URL of a store of secrets. Option values of the form $name are then looked up there.",
    ),
    option(
        "secret-provider-pattern",
        Text,
        "$",
        "What marks a value as the name of a secret.",
    ),
    option(
        "secret-provider-cache",
        one_of(&["None", "InMemory", "Persistent"]),
        "None",
        "Whether secrets are kept for times when their store cannot be reached.",
    ),
    option(
        "force-passphrase-from-stdin",
        Boolean,
        "",
        "Reads the passphrase as a line from standard input instead of asking at the terminal.",
    ),
    option(
        "sync-remote-state",
        one_of(&["UseRemoteState", "UseLocalState", "BlindlyUpload"]),
        "UseRemoteState",
        "How the sync command knows what the destination has: by listing, by \
         memory, or not at all.",
    )
    .ignored("both destinations are always listed"),
    option(
        "sync-then-delete",
        Boolean,
        "",
        "Removes stored files from the second destination that the first has let go, unless the first is damaged.",
    )
    .mapped("versions and data that the first destination has removed"),
    option(
        "sync-verify-hash",
        Boolean,
        "",
        "Reads the stored files of both destinations and compares them, also those that were copied before.",
    )
    .mapped("stored files of both destinations"),
    option(
        "sync-recheck",
        Boolean,
        "",
        "Opens every stored file of the second destination again and replaces what is damaged there.",
    )
    .mapped("stored files of the second destination"),
    logging("log-file", Path, "", "Writes log lines to this file."),
    logging(
        "log-file-log-level",
        LOG_LEVEL,
        "Warning",
        "The level from which lines go to the log file.",
    ),
    logging(
        "log-file-log-filter",
        Text,
        "",
        "Chooses lines for the log file by tag and id: globs or [regular \
         expressions], with + or - in front, separated by ':' or ';'.",
    ),
    logging(
        "log-file-log-ignore",
        List(','),
        "",
        "Ids of messages that do not go to the log file.",
    ),
    logging(
        "console-log-level",
        LOG_LEVEL,
        "Warning",
        "The level from which lines go to the terminal.",
    ),
    logging(
        "console-log-filter",
        Text,
        "",
        "Chooses lines for the terminal by tag and id, like log-file-log-filter.",
    ),
    logging(
        "console-log-ignore",
        List(','),
        "",
        "Ids of messages that do not go to the terminal.",
    ),
    logging(
        "suppress-warnings",
        List(','),
        "",
        "Ids of warnings that count as information only.",
    ),
    logging("debug-output", Boolean, "", "Adds technical detail to errors.")
        .ignored("errors are always told with their causes"),
    logging(
        "debug-retry-errors",
        Boolean,
        "",
        "Shows errors also when the request is tried again.",
    )
    .mapped("repeated requests are log lines of the level Retry"),
    logging(
        "allow-paths-in-log-messages",
        Boolean,
        "",
        "Leaves paths readable in reports that leave this machine.",
    ),
    logging(
        "log-level",
        LOG_LEVEL,
        "",
        "The level of the log file and of the terminal.",
    )
    .deprecated("log-file-log-level and console-log-level take its place; both are set from it"),
    logging("verbose", Boolean, "", "Shows more.")
        .deprecated("console-log-level=Verbose takes its place and is set from it"),
    script(
        "run-script-before",
        Path,
        "",
        "Runs a program before the operation; it may change options or prevent the operation.",
    ),
    script(
        "run-script-before-required",
        Path,
        "",
        "Runs a program before the operation, which does not start if the program fails.",
    ),
    script(
        "run-script-after",
        Path,
        "",
        "Runs a program after the operation.",
    ),
    script(
        "run-script-post-backup",
        Path,
        "",
        "Runs a program when the data of a backup is stored and the work that \
         follows has not ended yet.",
    ),
    script(
        "run-script-timeout",
        Timespan,
        "60s",
        "How long to wait for such a program; 0 waits for ever.",
    ),
    script(
        "run-script-with-arguments",
        Boolean,
        "",
        "Reads the values above as command lines instead of paths.",
    ),
    script(
        "run-script-result-output-format",
        one_of(&["Duplicati", "Json"]),
        "Duplicati",
        "The format of the result file that the program can read.",
    ),
    script(
        "run-script-log-level",
        LOG_LEVEL,
        "Warning",
        "The level from which log lines go into the result file.",
    ),
    script(
        "run-script-log-filter",
        Text,
        "",
        "Chooses log lines for the result file by tag and id.",
    ),
];
