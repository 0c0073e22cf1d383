// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command line: one or two words, and options as `--name=value` or `--name value`.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use duplicati_programs_common::{
    Environment, data_folder, options::suggestion::closest, value::parse_boolean,
};

/// Every option: its name, whether it takes a value, and its help.
const OPTIONS: &[(&str, bool, &str)] = &[
    (
        "datafolder",
        true,
        "The data folder of the server; also --server-datafolder.",
    ),
    (
        "settings-encryption-key",
        true,
        "The key for secrets in the server database; also from the environment.",
    ),
    (
        "server-database-url",
        true,
        "The PostgreSQL database of the server, if it uses one.",
    ),
    (
        "cert-dir",
        true,
        "The folder of certificates that this machine trusts.",
    ),
    (
        "hostnames",
        true,
        "Names and addresses for the certificate, separated by commas; those of this machine unless given.",
    ),
    ("no-trust", false, "Leaves alone what this machine trusts."),
    (
        "auto-create-database",
        false,
        "Makes the server database if there is none.",
    ),
    (
        "file",
        true,
        "The file to write; duplicati-server.crt or duplicati-ca.crt unless given.",
    ),
    ("apply", false, "Does not ask."),
    ("for-service", false, "Accepted; a service has the same folder."),
    ("quiet", false, "Prints nothing when all went well."),
];
const ALIASES: &[(&str, &str)] = &[("data-folder", "datafolder"), ("server-datafolder", "datafolder")];
pub const SECURE_FOLDER: &str = "secure-datafolder";
/// Commands with their words joined.
const COMMANDS: &[(&str, &str)] = &[
    (
        "https generate",
        "Makes a certificate authority and a certificate, and has this machine trust the authority.",
    ),
    (
        "https renew",
        "Makes a new certificate by the authority that is there.",
    ),
    ("https regenerate-ca", "Makes both anew."),
    (
        "https remove",
        "Forgets both, and has this machine trust them no more.",
    ),
    ("https show", "Shows what is there."),
    ("https export", "Writes the certificate as PEM."),
    (
        "https export-ca",
        "Writes the certificate of the authority as PEM, for other machines to trust.",
    ),
    (SECURE_FOLDER, "Closes the data folder to other users."),
];

/// What was asked for. Has no `Debug`: an option is a key.
pub struct Arguments {
    pub command: &'static str,
    options: BTreeMap<&'static str, String>,
    pub data_folder: PathBuf,
}

impl Arguments {
    /// Reads the command line.
    pub fn read(given: Vec<OsString>, environment: &Environment) -> Result<Self, String> {
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
            let (name, takes_value) = find(&name)?;
            let value = match value {
                Some(value) => value,
                None if takes_value => words
                    .next()
                    .ok_or_else(|| format!("the option --{name} needs a value"))?,
                None => "true".to_owned(),
            };
            options.insert(name, value);
        }
        let asked = positional.join(" ").to_ascii_lowercase();
        let command = COMMANDS.iter().map(|(name, _)| *name).find(|name| *name == asked);
        let command = command.ok_or_else(|| {
            let shown: String = asked.chars().take(60).collect();
            let advice = closest(&shown, COMMANDS.iter().map(|(name, _)| *name)).map_or_else(
                || "--help lists all".to_owned(),
                |known| format!("did you mean {known:?}?"),
            );
            format!("unknown command {shown:?}; {advice}")
        })?;
        for (option, variable) in [
            ("settings-encryption-key", "SETTINGS_ENCRYPTION_KEY"),
            ("server-database-url", "DUPLICATI__SERVER_DATABASE_URL"),
        ] {
            if let Some(value) = environment.variable(variable).and_then(|value| value.to_str()) {
                options.entry(option).or_insert(value.to_owned());
            }
        }
        let folder = options.get("datafolder").map(PathBuf::from);
        Ok(Self {
            command,
            data_folder: data_folder::locate(folder.as_deref(), false, environment),
            options,
        })
    }

    /// The value of an option.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(parse_boolean)
    }
}

fn find(name: &str) -> Result<(&'static str, bool), String> {
    let canonical = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, name)| name);
    let found = OPTIONS.iter().find(|(known, _, _)| *known == canonical);
    found
        .map(|(name, takes_value, _)| (*name, *takes_value))
        .ok_or_else(|| {
            let shown: String = name.chars().take(60).collect();
            let advice = closest(&shown, OPTIONS.iter().map(|(name, _, _)| *name)).map_or_else(
                || "--help lists all".to_owned(),
                |known| format!("did you mean --{known}?"),
            );
            format!("unknown option --{shown}; {advice}")
        })
}

/// What can be asked for.
pub fn help() -> String {
    let mut text = format!("duplicati-configure {}\n\nCommands:\n", env!("CARGO_PKG_VERSION"));
    for (name, help) in COMMANDS {
        text.push_str(&format!("  {name}\n      {help}\n"));
    }
    text.push_str("\nOptions:\n");
    for (name, _, help) in OPTIONS {
        text.push_str(&format!("  --{name}: {help}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        Arguments::read(
            words.iter().map(OsString::from).collect(),
            &Environment::from_process(),
        )
    }

    #[test]
    fn words_and_options_stand_in_any_order() {
        let arguments = read(&[
            "https",
            "--hostnames",
            "a,b",
            "Generate",
            "--no-trust",
            "--data-folder=/x",
        ]);
        let arguments = arguments.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(arguments.command, "https generate");
        assert_eq!(arguments.text("hostnames"), Some("a,b"));
        assert!(arguments.is_on("no-trust") && !arguments.is_on("quiet"));
        assert_eq!(arguments.data_folder, PathBuf::from("/x"));
    }

    #[test]
    fn what_is_not_known_is_refused_with_a_suggestion() {
        for (words, advice) in [
            (&["https", "generat"][..], "https generate"),
            (&["https", "show", "--fil=x"], "--file"),
            (&["https"], "unknown command"),
            (&["https", "show", "more"], "unknown command"),
            (&["https", "export", "--file"], "needs a value"),
        ] {
            let error = read(words).err().unwrap_or_default();
            assert!(error.contains(advice), "{words:?}: {error}");
        }
    }
}
