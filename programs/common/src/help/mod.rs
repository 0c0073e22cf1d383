// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Help texts, made from the tables of commands and options wherever one of them knows the answer.
//!
//! Everything here returns text; programs print it.

mod commands;
mod options;
mod topics;

/// The answer to `help` without a topic.
pub fn overview(version: &str) -> String {
    commands::overview(version)
}

/// The answer to `help <topic>`: a topic, a command, a kind of destination, or an option.
/// `Err` holds the text for a topic that does not exist.
pub fn topic(word: &str) -> Result<String, String> {
    let word = word.to_lowercase();
    let word = word.trim();
    // Commands first: `sync` is a command as well as the beginning of option names.
    topics::find(word)
        .or_else(|| crate::commands::find(word).map(commands::describe))
        .or_else(|| topics::destination(word))
        .or_else(|| options::find(word.trim_start_matches("--")))
        .ok_or_else(|| {
            format!(
                "there is no help on {}; 'duplicati-cli help' lists commands and topics",
                shown(word)
            )
        })
}

/// The word as far as it may be shown: only what looks like the name of something. `--passphrase=…` or a URL may hold a secret, and so may one long word.
fn shown(word: &str) -> String {
    let is_name = word.len() <= SHOWN_BYTES_MAX
        && word
            .chars()
            .all(|character| character.is_ascii_alphabetic() || matches!(character, '-' | '_' | ' '));
    if is_name {
        return word.to_owned();
    }
    let name = word
        .strip_prefix("--")
        .and_then(|option| option.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| crate::options::table::find(name).is_some());
    match name {
        Some(name) => format!("--{name}=…"),
        None => "that word".to_owned(),
    }
}

/// Longest word that is repeated, bytes: the longest names of options are shorter.
const SHOWN_BYTES_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::COMMANDS;
    use crate::options::table;

    #[test]
    fn every_command_alias_and_option_has_help() {
        for command in COMMANDS {
            for name in std::iter::once(&command.name).chain(command.aliases) {
                assert!(topic(name).is_ok(), "{name}");
            }
        }
        for spec in table::all().filter(|spec| spec.prefix().is_none()) {
            for name in std::iter::once(&spec.name).chain(spec.aliases) {
                assert!(topic(name).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn every_documented_topic_exists() {
        for word in [
            "example",
            "changelog",
            "returncodes",
            "exitcodes",
            "statuscodes",
            "errorlevel",
            "debug",
            "logging",
            "encryption",
            "compression",
            "date",
            "time",
            "size",
            "decimal",
            "filter",
            "filter-group",
            "mail",
            "email",
            "advanced",
            "options",
            "secret",
            "secret-provider",
            "password",
            "file",
            "s3",
            "ssh",
            "webdav",
        ] {
            assert!(topic(word).is_ok(), "{word}");
        }
    }

    #[test]
    fn a_word_that_may_hold_a_secret_is_not_repeated() {
        for word in [
            "--passphrase=hunter2",
            "s3://key:hunter2@bucket",
            "hunter2",
            "--unknown=hunter2",
        ] {
            assert!(topic(word).is_err_and(|text| !text.contains("hunter2")), "{word}");
        }
        assert!(topic("--passphrase=x").is_err_and(|text| text.contains("--passphrase=…")));
    }

    #[test]
    fn an_unknown_topic_says_so() {
        assert!(topic("nonsense").is_err_and(|text| text.contains("nonsense")));
    }

    #[test]
    fn the_overview_names_every_command_and_the_version() {
        let text = overview("1.2.3");
        for command in COMMANDS {
            assert!(text.contains(command.name), "{}", command.name);
        }
        assert!(text.trim_end().ends_with("1.2.3"));
    }

    #[test]
    fn the_list_of_options_is_complete() {
        let text = topic("options").unwrap_or_default();
        for spec in table::all() {
            assert!(text.contains(&format!("--{}", spec.name)), "{}", spec.name);
        }
    }

    #[test]
    fn option_help_shows_kind_default_and_handling() {
        let text = topic("--dblock-size").unwrap_or_default();
        for part in ["16mb", "size", "--remote-volume-size", "packs"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(topic("usn-policy").unwrap_or_default().contains("Linux"));
    }

    #[test]
    fn command_help_shows_usage_and_options() {
        let text = topic("verify").unwrap_or_default();
        assert!(
            text.contains("duplicati-cli test URL") && text.contains("--full-remote-verification"),
            "{text}"
        );
    }

    #[test]
    fn exit_codes_are_all_explained() {
        let text = topic("returncodes").unwrap_or_default();
        for code in crate::ExitCode::ALL {
            assert!(text.contains(&format!("{:>5}", code.code())), "{}", code.code());
        }
    }
}
