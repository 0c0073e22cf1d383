// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From arguments to an exit code.

use std::ffi::OsString;

use duplicati_engine::clock::{Clock, SystemClock};
use duplicati_programs_common::{
    Environment, ExitCode, Options, ParseContext, Question, UserError, question,
};
use jiff::{Timestamp, tz::TimeZone};

use crate::commands::{self, Command};

const HELP: &str = "\
Usage: duplicati-backend-tool <COMMAND> <URL> [filename] [options]

One request to a target. The commands, in any case:
  LIST                    the files in the target's folder
  GET <filename>          downloads a file into the working folder; one that is there is not replaced
  PUT <path>              uploads a file under its own name
  DELETE <filename>       removes a file
  CREATEFOLDER            makes the target's folder
  PROBE                   tries out what the target can do, with objects that are removed again
  GET-LOCK, SET-LOCK      not part of this version

The options are those of the destination, as for duplicati-cli; 'duplicati-cli help options' lists them.
AUTH_USERNAME and AUTH_PASSWORD in the environment keep credentials out of the list of processes.
Exit codes: 0 done, 100 failed, 200 wrong command line.
";

/// Runs the program with the arguments behind its name.
pub fn run(arguments: Vec<OsString>) -> std::process::ExitCode {
    answer(arguments).into()
}

fn answer(arguments: Vec<OsString>) -> ExitCode {
    match question(&arguments) {
        Some(Question::Version) => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::Success;
        }
        Some(Question::Help) => {
            print!("{HELP}");
            return ExitCode::Success;
        }
        None if arguments.is_empty() => {
            print!("{HELP}");
            return ExitCode::InvalidCommandLine;
        }
        None => {}
    }
    match carry_out(arguments) {
        Ok(()) => ExitCode::Success,
        Err(error) if error.exit_code == ExitCode::InvalidCommandLine => {
            eprintln!("{error}");
            error.exit_code
        }
        Err(error) => {
            eprintln!("Command failed: {}", error.message);
            error.exit_code
        }
    }
}

fn carry_out(arguments: Vec<OsString>) -> Result<(), UserError> {
    let environment = Environment::from_process();
    let time = SystemClock.now();
    let now = Timestamp::from_second(time.seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::system());
    let context = ParseContext {
        environment: &environment,
        now: &now,
    };
    let options = Options::parse(arguments, &context)?;
    for warning in options.warnings() {
        eprintln!("Warning: {warning}");
    }
    let command = Command::of(options.positional())?;
    commands::run(&command, &options, &environment, &now)
}
