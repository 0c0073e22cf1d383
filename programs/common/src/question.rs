// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a person asks of a program before it does anything: its help or its version.

use std::ffi::OsString;

use crate::commands::is_help_word;

/// A question to the program itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Help,
    /// Answered with the version and nothing else, so that scripts can compare it.
    Version,
}

/// What is asked, if anything. A word such as `help` counts in the first place only: behind it, it may be the name of a file.
pub fn question(arguments: &[OsString]) -> Option<Question> {
    let first = arguments.first()?.to_string_lossy();
    if first == "--version" {
        return Some(Question::Version);
    }
    let asks_anywhere = arguments
        .iter()
        .any(|word| word == "--help" || word == "-h" || word == "-?");
    (is_help_word(&first) || asks_anywhere).then_some(Question::Help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Option<Question> {
        question(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn help_and_version_are_asked_for_in_their_usual_spellings() {
        for word in ["help", "--help", "-h", "-?", "HELP", "usage"] {
            assert_eq!(asked(&[word]), Some(Question::Help), "{word}");
        }
        assert_eq!(asked(&["LIST", "file:///x", "--help"]), Some(Question::Help));
        assert_eq!(asked(&["--version"]), Some(Question::Version));
    }

    #[test]
    fn names_of_files_and_values_are_no_questions() {
        assert_eq!(asked(&["GET", "file:///x", "help"]), None);
        assert_eq!(asked(&["restore", "file:///x", "--version"]), None);
        assert_eq!(asked(&["--version=0"]), None);
        assert_eq!(asked(&[]), None);
    }
}
