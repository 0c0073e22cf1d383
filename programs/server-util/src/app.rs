// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From arguments to an exit code.

use std::{ffi::OsString, process::ExitCode};

use duplicati_programs_common::{Environment, Question, question};

use crate::{
    arguments::{self, Arguments},
    commands,
    report::{self, Report},
};

/// Runs the program with the arguments behind its name.
pub fn run(given: Vec<OsString>) -> ExitCode {
    match question(&given) {
        Some(Question::Version) => {
            report::print(concat!(env!("CARGO_PKG_VERSION"), "\n"));
            return ExitCode::SUCCESS;
        }
        Some(Question::Help) => {
            report::print(&arguments::help());
            return ExitCode::SUCCESS;
        }
        None if given.is_empty() => {
            report::print(&arguments::help());
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    let arguments = match Arguments::read(given, &Environment::from_process()) {
        Ok(arguments) => arguments,
        Err(message) => {
            report::print_error(&message);
            return ExitCode::FAILURE;
        }
    };
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::print_error(&format!("failed to start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::new(&arguments);
    let outcome = runtime.block_on(commands::run(&arguments, &mut report));
    ExitCode::from(report.finish(outcome))
}
