// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command line: a command, its arguments, and options as `--name=value` or `--name value`.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use duplicati_programs_common::{Environment, data_folder, options::suggestion::closest};

/// Options that take a value.
const WITH_VALUE: &[&str] = &[
    "password",
    "hosturl",
    "server-datafolder",
    "server-database-url",
    "settings-file",
    "settings-encryption-key",
    "secret-provider",
    "secret-provider-cache",
    "secret-provider-pattern",
    "host-cert",
    "poll-interval",
    "backup-passphrase",
    "backup-url",
    "encryption-passphrase",
    "destination",
];
/// Options without one.
const SWITCHES: &[&str] = &[
    "portable-mode",
    "allow-insecure-datafolder",
    "insecure",
    "ignore-revocation-failure",
    "json",
    "detailed",
    "wait",
    "skip-queue",
    "quiet",
    "delete-remote-files",
    "delete-local-db",
    "force",
    "import-metadata",
    "export-passwords",
    "overwrite",
    "unencrypted",
];
/// Every command with its arguments.
const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "pause",
        "[duration]",
        "Pauses the server, for a time such as 5m or until it is resumed.",
    ),
    ("resume", "", "Lets the server go on."),
    ("list-backups", "[--detailed]", "Lists all backups."),
    (
        "run",
        "<id or name> [--wait] [--skip-queue] [--poll-interval=5] [--quiet]",
        "Runs a backup.",
    ),
    (
        "delete",
        "<id or name> [--delete-remote-files] [--delete-local-db] [--force]",
        "Removes a backup.",
    ),
    ("login", "", "Signs in and remembers it."),
    ("logout", "", "Ends the session that is remembered."),
    (
        "change-password",
        "[new-password]",
        "Changes the password of the server.",
    ),
    (
        "import",
        "<file> [passphrase] [--import-metadata] [--backup-passphrase=X] [--backup-url=URL]",
        "Makes a backup from an exported file.",
    ),
    (
        "export",
        "<id or name>… or all [--unencrypted] [--export-passwords] [--overwrite] [--destination=DIR]",
        "Writes backups to files.",
    ),
    ("health", "", "Says whether the server answers."),
    ("status", "", "Shows what the server does."),
    (
        "issue-forever-token",
        "",
        "Issues a token for ten years, if the server was started to allow it.",
    ),
];
const DEFAULT_URL: &str = "http://127.0.0.1:8200";

/// What was asked for. Has no `Debug`: options hold passwords.
pub struct Arguments {
    pub command: &'static str,
    pub positional: Vec<String>,
    options: BTreeMap<&'static str, String>,
    pub data_folder: PathBuf,
}

impl Arguments {
    /// Reads the command line.
    pub fn read(
        given: impl IntoIterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<Self, String> {
        let mut words = Vec::new();
        for word in given {
            words.push(
                word.into_string()
                    .map_err(|_| "an argument is not valid UTF-8".to_owned())?,
            );
        }
        let (mut positional, mut options) = (Vec::new(), BTreeMap::new());
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix("--") else {
                positional.push(word);
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name.to_ascii_lowercase(), Some(value.to_owned())),
                None => (option.to_ascii_lowercase(), None),
            };
            if let Some(name) = SWITCHES.iter().find(|known| **known == name) {
                options.insert(*name, value.unwrap_or_else(|| "true".to_owned()));
            } else if let Some(name) = WITH_VALUE.iter().find(|known| **known == name) {
                let value = value
                    .or_else(|| words.next())
                    .ok_or_else(|| format!("the option --{name} needs a value"))?;
                options.insert(*name, value);
            } else {
                let advice = closest(&name, WITH_VALUE.iter().chain(SWITCHES).copied()).map_or_else(
                    || "--help lists all".to_owned(),
                    |known| format!("did you mean --{known}?"),
                );
                let shown: String = name.chars().take(60).collect();
                return Err(format!("unknown option --{shown}; {advice}"));
            }
        }
        if positional.is_empty() {
            return Err("no command was given; --help lists all".to_owned());
        }
        let word = positional.remove(0);
        let command = COMMANDS
            .iter()
            .find(|(name, _, _)| name.eq_ignore_ascii_case(&word));
        let Some((command, _, _)) = command else {
            let advice = closest(&word, COMMANDS.iter().map(|(name, _, _)| *name)).map_or_else(
                || "--help lists all".to_owned(),
                |known| format!("did you mean {known}?"),
            );
            return Err(format!("unknown command {word:?}; {advice}"));
        };
        if options.contains_key("secret-provider") {
            return Err(
                "the option --secret-provider is not supported here; give the password itself".to_owned(),
            );
        }
        let folder = options.get("server-datafolder").map(PathBuf::from);
        let is_portable = options.contains_key("portable-mode");
        let data_folder = data_folder::locate(folder.as_deref(), is_portable, environment);
        if !options.contains_key("settings-encryption-key")
            && let Some(key) = environment
                .variable("SETTINGS_ENCRYPTION_KEY")
                .and_then(|key| key.to_str())
        {
            options.insert("settings-encryption-key", key.to_owned());
        }
        if !options.contains_key("server-database-url")
            && let Some(url) = environment
                .variable("DUPLICATI__SERVER_DATABASE_URL")
                .and_then(|url| url.to_str())
        {
            options.insert("server-database-url", url.to_owned());
        }
        Ok(Self {
            command,
            positional,
            options,
            data_folder,
        })
    }

    /// The value of an option.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(duplicati_programs_common::value::parse_boolean)
    }

    /// Where the server is, without a slash at the end.
    pub fn url(&self) -> &str {
        self.text("hosturl").unwrap_or(DEFAULT_URL).trim_end_matches('/')
    }

    /// Where sessions are remembered.
    pub fn settings_file(&self) -> PathBuf {
        self.text("settings-file")
            .map_or_else(|| self.data_folder.join("settings.json"), PathBuf::from)
    }

    /// The first argument, which must be there.
    pub fn needed(&self, what: &str) -> Result<&str, String> {
        self.positional
            .first()
            .map(String::as_str)
            .ok_or_else(|| format!("the command {} needs {what}", self.command))
    }
}

/// What can be asked for.
pub fn help() -> String {
    let mut text = format!(
        "duplicati-server-util {}\n\nCommands:\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, arguments, help) in COMMANDS {
        text.push_str(&format!("  {name} {arguments}\n      {help}\n"));
    }
    text.push_str(
        "\nOptions of all commands:\n  --hosturl=http://127.0.0.1:8200  --password=X  --server-datafolder=DIR  --settings-file=FILE\n  \
         --settings-encryption-key=X  --server-database-url=URL  --host-cert=SHA1  --insecure  --json\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        Arguments::read(words.iter().map(OsString::from), &Environment::from_process())
    }

    #[test]
    fn values_stand_behind_an_equals_sign_or_a_space() {
        let arguments = read(&[
            "run",
            "--poll-interval",
            "7",
            "My backup",
            "--hosturl=http://x/",
            "--wait",
        ]);
        let arguments = arguments.expect("a command");
        assert_eq!(arguments.command, "run");
        assert_eq!(arguments.positional, ["My backup"]);
        assert_eq!(arguments.text("poll-interval"), Some("7"));
        assert_eq!(arguments.url(), "http://x");
        assert!(arguments.is_on("wait") && !arguments.is_on("quiet"));
    }

    #[test]
    fn unknown_words_are_refused_with_a_suggestion() {
        assert!(
            read(&["list-backup"])
                .err()
                .is_some_and(|error| error.contains("list-backups"))
        );
        assert!(
            read(&["run", "--wiat"])
                .err()
                .is_some_and(|error| error.contains("--wait"))
        );
        assert!(
            read(&["run", "--password"])
                .err()
                .is_some_and(|error| error.contains("needs a value"))
        );
        assert!(read(&[]).is_err());
    }
}
