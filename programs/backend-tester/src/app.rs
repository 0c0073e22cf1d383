// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From arguments to an exit code: 0 passed, 1 failed.

use std::{ffi::OsString, process::ExitCode, sync::Arc};

use duplicati_backends::Files;
use duplicati_engine::{
    clock::{Clock, SystemClock},
    storage::StoreErrorKind,
};
use duplicati_programs_common::{
    Environment, Options, ParseContext, Question, UserError, error_id::ids, question, target,
};
use jiff::{Timestamp, tz::TimeZone};

use crate::{rounds, settings::Settings};

/// Requests move few bytes at once here.
const RUNTIME_THREADS: usize = 2;

/// Runs the program with the arguments behind its name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    match question(&arguments) {
        Some(Question::Version) => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some(Question::Help) => {
            print!("{}", Settings::help());
            return ExitCode::SUCCESS;
        }
        None if arguments.is_empty() => {
            print!("{}", Settings::help());
            return ExitCode::FAILURE;
        }
        None => {}
    }
    match carry_out(arguments) {
        Ok(()) => {
            println!("All tests passed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(arguments: Vec<OsString>) -> Result<(), UserError> {
    let (settings, rest) = Settings::take(arguments)?;
    let environment = Environment::from_process();
    let now = Timestamp::from_second(SystemClock.now().seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::system());
    let context = ParseContext {
        environment: &environment,
        now: &now,
    };
    let options = Options::parse(rest, &context)?;
    let [url] = options.positional() else {
        return Err(UserError::invalid_command_line(
            ids::WRONG_ARGUMENTS,
            "give exactly one URL; 'duplicati-backend-tester --help' says more",
        ));
    };
    let address = target::address_of(url, &options, &environment.current_folder, &now)?;
    let files = duplicati_backends::open_files(&address).map_err(|error| target::open_error(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .map_err(|error| failed(format!("failed to start the threads of the program: {error}")))?;
    let outcome = runtime.block_on(test(&files, &settings));
    runtime.shutdown_background();
    outcome
}

fn failed(message: impl Into<String>) -> UserError {
    UserError::failed(ids::REMOTE_OPERATION_FAILED, message)
}

async fn test(files: &Arc<dyn Files>, settings: &Settings) -> Result<(), UserError> {
    let present = match files.list_files(false).await {
        Ok(present) => present,
        Err(error) if error.kind == StoreErrorKind::NotFound && settings.auto_create_folder => {
            files
                .create_folder()
                .await
                .map_err(|error| failed(error.to_string()))?;
            Vec::new()
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    if !present.is_empty() {
        if !(settings.auto_clean && settings.force) {
            return Err(failed(format!(
                "{} is not empty ({} entries), and the test would erase it; give another folder, or --auto-clean and --force",
                files.location(),
                present.len()
            )));
        }
        for entry in present.iter().filter(|entry| !entry.is_folder) {
            files
                .delete_file(&entry.path)
                .await
                .map_err(|error| failed(error.to_string()))?;
        }
    }
    for round in 1..=settings.reruns {
        println!("Round {round} of {}", settings.reruns);
        rounds::run(files.as_ref(), settings).await.map_err(failed)?;
    }
    Ok(())
}
