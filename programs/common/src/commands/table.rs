// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every command: names, arguments, what it does, and which options matter to it.

use std::ffi::OsString;

use crate::error_id::{UserError, ids};
use crate::options::Options;
use crate::options::suggestion::closest;

/// The heading under which help lists a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandGroup {
    General,
    Commands,
    Searching,
    Repair,
    Locking,
    Debug,
}

impl CommandGroup {
    pub const ALL: [Self; 6] = [
        Self::General,
        Self::Commands,
        Self::Searching,
        Self::Repair,
        Self::Locking,
        Self::Debug,
    ];

    pub const fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::Commands => "Commands",
            Self::Searching => "Searching",
            Self::Repair => "Repair",
            Self::Locking => "Locking",
            Self::Debug => "Debug",
        }
    }
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub group: CommandGroup,
    /// The arguments as help shows them.
    pub arguments: &'static str,
    pub summary: &'static str,
    /// The options that help shows with the command.
    pub options: &'static [&'static str],
    /// The least and the most arguments after the command, the destination included; no most is no limit.
    pub arguments_min: usize,
    pub arguments_max: Option<usize>,
    /// Whether the first argument is a destination.
    pub takes_destination: bool,
    /// Whether the remaining arguments are sources.
    pub takes_sources: bool,
    /// Whether the command changes neither destination nor local database.
    pub read_only: bool,
    /// Options of which at least one must be given.
    pub needs_one_of: &'static [&'static str],
    pub own: bool,
}

const VERSIONS: &[&str] = &[
    "version",
    "time",
    "passphrase",
    "dbpath",
    "no-local-db",
    "full-result",
];

const fn command(
    group: CommandGroup,
    name: &'static str,
    arguments: &'static str,
    (arguments_min, arguments_max): (usize, Option<usize>),
    summary: &'static str,
) -> CommandSpec {
    CommandSpec {
        name,
        aliases: &[],
        group,
        arguments,
        summary,
        options: &[],
        arguments_min,
        arguments_max,
        takes_destination: arguments.len() >= 3 && matches!(arguments.as_bytes(), [b'U', b'R', b'L', ..]),
        takes_sources: false,
        read_only: false,
        needs_one_of: &[],
        own: false,
    }
}

impl CommandSpec {
    const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    const fn sources(mut self) -> Self {
        self.takes_sources = true;
        self
    }

    const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    const fn needs_one_of(mut self, options: &'static [&'static str]) -> Self {
        self.needs_one_of = options;
        self
    }

    const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Checks that one of the options that the command cannot do without was given.
    pub fn check_needed_options(&self, options: &Options) -> Result<(), UserError> {
        if self.needs_one_of.is_empty() || self.needs_one_of.iter().any(|name| options.is_given(name)) {
            return Ok(());
        }
        let names: Vec<_> = self.needs_one_of.iter().map(|name| format!("--{name}")).collect();
        Err(UserError::invalid_command_line(
            ids::WRONG_ARGUMENTS,
            format!("the command {} needs one of {}", self.name, names.join(", ")),
        ))
    }

    /// How the command is called.
    pub fn usage(&self) -> String {
        format!("duplicati-cli {} {}", self.name, self.arguments)
            .trim_end()
            .to_owned()
    }
}

use CommandGroup::{Commands, General, Locking, Repair, Searching};

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
    .needs_one_of(&["version", "keep-time", "keep-versions", "retention-policy"])
    .options(&[
        "version",
        "keep-time",
        "keep-versions",
        "retention-policy",
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
        "list|add|remove|change URL",
        (1, None),
        "Manages the keys that open a repository.",
    )
    .own()
    .options(&["passphrase", "new-passphrase", "identity", "recipient", "label"]),
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
        "URL source…",
        (1, None),
        "Mirrors files one to one, unencrypted and without versions.",
    )
    .sources()
    .options(&[
        "no-encryption",
        "sync-remote-state",
        "sync-then-delete",
        "sync-verify-hash",
        "sync-recheck",
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
         the local database again if it is missing.",
    )
    .options(&[
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
    ]),
];

/// The command with this name or alias, in any case.
pub fn find(word: &str) -> Option<&'static CommandSpec> {
    COMMANDS.iter().find(|command| {
        std::iter::once(&command.name)
            .chain(command.aliases)
            .any(|name| name.eq_ignore_ascii_case(word))
    })
}

/// Whether an argument in first place asks for help.
pub fn is_help_word(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    matches!(
        word.as_str(),
        "help" | "/help" | "--help" | "usage" | "/usage" | "--usage" | "/h" | "-h"
    )
}

/// Finds the command in `positional` and checks the number of its arguments.
pub fn check_arguments(positional: &[OsString]) -> Result<&'static CommandSpec, UserError> {
    let word = positional
        .first()
        .map(|word| word.to_string_lossy())
        .unwrap_or_default();
    let command = find(&word).ok_or_else(|| unknown_command(&word))?;
    let count = positional.len() - 1;
    if count < command.arguments_min || command.arguments_max.is_some_and(|max| count > max) {
        let expected = match (command.arguments_min, command.arguments_max) {
            (min, Some(max)) if min == max => min.to_string(),
            (min, Some(max)) => format!("{min} to {max}"),
            (min, None) => format!("at least {min}"),
        };
        return Err(UserError::invalid_command_line(
            ids::WRONG_ARGUMENTS,
            format!(
                "the command {} takes {expected} argument(s) and got {count}; usage: {}",
                command.name,
                command.usage()
            ),
        ));
    }
    Ok(command)
}

fn unknown_command(word: &str) -> UserError {
    let shown: String = word.chars().take(64).collect();
    let lower = shown.to_lowercase();
    let advice = match closest(&lower, COMMANDS.iter().map(|command| command.name)) {
        Some(candidate) => format!("did you mean {candidate}?"),
        None => "'duplicati-cli help' lists all commands".to_owned(),
    };
    UserError::invalid_command_line(
        ids::UNKNOWN_COMMAND,
        format!("unknown command {shown:?}; {advice}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::table;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn names_and_aliases_are_unique_and_options_exist() {
        let mut names: Vec<_> = COMMANDS
            .iter()
            .flat_map(|c| std::iter::once(&c.name).chain(c.aliases))
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for command in COMMANDS {
            for option in command.options.iter().chain(command.needs_one_of) {
                assert_eq!(
                    table::find(option).map(|spec| spec.name),
                    Some(*option),
                    "{}: {option}",
                    command.name
                );
            }
        }
    }

    #[test]
    fn commands_are_found_in_any_case_and_by_alias() {
        assert_eq!(find("BACKUP").map(|c| c.name), Some("backup"));
        assert_eq!(find("verify").map(|c| c.name), Some("test"));
        assert!(find("recreate").is_none());
    }

    #[test]
    fn wrong_numbers_of_arguments_exit_with_200() {
        for arguments in [
            &["repair"][..],
            &["repair", "a", "b"],
            &["affected", "url"],
            &["system-info", "x"],
        ] {
            let error = check_arguments(&words(arguments)).expect_err("the number of arguments is wrong");
            assert_eq!(
                (error.id, error.exit_code.code()),
                ("WrongArguments", 200),
                "{arguments:?}"
            );
        }
        assert!(check_arguments(&words(&["compare", "url", "1", "0"])).is_ok());
    }

    #[test]
    fn deleting_nothing_in_particular_is_refused() {
        let now = "2026-03-31T12:00:00+00:00[UTC]"
            .parse()
            .expect("the literal is a valid time");
        let mut options = Options::defaults(&now);
        let command = find("delete").expect("the command exists");
        assert_eq!(
            command
                .check_needed_options(&options)
                .map_err(|error| error.exit_code.code()),
            Err(200)
        );
        let set = options.set("keep-versions", Some("3".as_ref()), &now);
        assert_eq!((set, command.check_needed_options(&options)), (Ok(()), Ok(())));
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_closest_one() {
        let error = check_arguments(&words(&["bakcup"])).expect_err("the command is unknown");
        assert!(error.message.contains("backup"), "{error}");
        assert!(check_arguments(&[]).is_err());
    }
}
