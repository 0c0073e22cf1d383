// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commands of `duplicati-cli`, declared once for dispatch, checks and help.

pub mod spec;
pub mod table;

use std::ffi::OsString;

use crate::error_id::{UserError, ids};
use crate::options::suggestion::closest;

pub use spec::{CommandGroup, CommandSpec};
pub use table::COMMANDS;

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
    use crate::options::{Options, table};

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
