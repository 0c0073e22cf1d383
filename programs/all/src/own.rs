// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the file says and does under its own name.

use std::{ffi::OsString, io::Write, process::ExitCode};

use duplicati_programs_common::{Question, UserError, error_id::ids, options::suggestion::closest, question};

use crate::programs::{OWN_NAME, PROGRAMS, find};

/// Characters of a name that a message shows.
const SHOWN_CHARS: usize = 64;

/// Runs the program that the first argument names; without one, or when asked, lists all.
pub fn run(mut arguments: Vec<OsString>) -> ExitCode {
    let Some(first) = arguments.first() else {
        return print(&help());
    };
    if let Some(program) = first.to_str().and_then(find) {
        arguments.remove(0);
        return (program.run)(arguments);
    }
    match question(&arguments[..1]) {
        Some(Question::Version) => print(concat!(env!("CARGO_PKG_VERSION"), "\n")),
        Some(Question::Help) => print(&help()),
        None => {
            let shown: String = first.to_string_lossy().chars().take(SHOWN_CHARS).collect();
            let advice = closest(&shown, PROGRAMS.iter().map(|program| program.name))
                .map(|name| format!("; did you mean {name}?"))
                .unwrap_or_default();
            refuse(&format!("there is no program {shown:?} in this file{advice}"))
        }
    }
}

/// Says what is wrong, and the way out.
pub fn refuse(what: &str) -> ExitCode {
    let names: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
    let error = UserError::invalid_command_line(
        ids::UNKNOWN_COMMAND,
        format!(
            "{what}\nstart it by a link with one of these names, or as '{OWN_NAME} <name>': {}",
            names.join(", ")
        ),
    );
    let _seen = writeln!(std::io::stderr().lock(), "{error}").is_ok();
    error.exit_code.into()
}

fn help() -> String {
    let width = PROGRAMS
        .iter()
        .map(|program| program.name.len())
        .max()
        .unwrap_or(0);
    let mut text = format!(
        "Usage: {OWN_NAME} <program> [arguments…]\n\nAll programs in one file. A link to it with the name of a program runs that program.\n\n"
    );
    for program in &PROGRAMS {
        text.push_str(&format!("  {:width$}  {}\n", program.name, program.summary));
    }
    text
}

fn print(text: &str) -> ExitCode {
    let mut output = std::io::stdout().lock();
    // A reader such as `head` that has seen enough is no failure.
    let _seen = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .is_ok();
    ExitCode::SUCCESS
}
