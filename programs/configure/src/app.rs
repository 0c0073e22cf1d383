// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From arguments to an exit code.

use std::{ffi::OsString, io::Write, process::ExitCode};

use duplicati_programs_common::{Environment, ExitCode as Code, Question, UserError, question};

use crate::{
    arguments::{self, Arguments},
    https, secure,
};

/// Something else must be asked for.
const EXIT_USER: u8 = 2;

/// Runs the program with the arguments behind its name.
pub fn run(given: Vec<OsString>) -> ExitCode {
    match question(&given) {
        Some(Question::Version) => {
            print(concat!(env!("CARGO_PKG_VERSION"), "\n"));
            return ExitCode::SUCCESS;
        }
        Some(Question::Help) => {
            print(&arguments::help());
            return ExitCode::SUCCESS;
        }
        None if given.is_empty() => {
            print(&arguments::help());
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    let environment = Environment::from_process();
    let arguments = match Arguments::read(given, &environment) {
        Ok(arguments) => arguments,
        Err(message) => {
            complain(&message);
            return ExitCode::FAILURE;
        }
    };
    match carry_out(&arguments, &environment) {
        Ok(said) => {
            print(&said);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            match error.exit_code {
                Code::InvalidCommandLine => ExitCode::from(EXIT_USER),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn carry_out(arguments: &Arguments, environment: &Environment) -> Result<String, UserError> {
    if arguments.command == arguments::SECURE_FOLDER {
        return secure::run(arguments, environment);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        UserError::failed(
            duplicati_programs_common::error_id::ids::UNEXPECTED_FAILURE,
            format!("failed to start: {error}"),
        )
    })?;
    runtime.block_on(https::run(arguments, environment))
}

fn print(text: &str) {
    // A reader that has gone is no failure.
    let _seen = write!(std::io::stdout().lock(), "{text}")
        .and_then(|()| std::io::stdout().flush())
        .is_ok();
}

fn complain(text: &str) {
    let _seen = writeln!(std::io::stderr().lock(), "{text}").is_ok();
}
