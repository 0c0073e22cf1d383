// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From arguments to an exit code.

use std::{ffi::OsString, io::Write, sync::Arc};

use duplicati_actors::control::RunControl;
use duplicati_programs_common::{
    Environment, ExitCode, Options, ParseContext, UserError,
    commands::{self, CommandSpec},
    error_id::ids,
    help,
};

use crate::{
    commands::{Handler, handler},
    failure::{Failure, Outcome, failed},
    invocation::{Invocation, system_clock, zoned_now},
    logging::Log,
    output::Console,
    results::final_code,
    signals, unsupported,
};

/// Async work moves few bytes itself; what needs the processor runs on threads of its own.
const RUNTIME_THREADS: usize = 2;

/// Runs the program.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(text) = help_asked_for(&arguments) {
        return print_help(&text);
    }
    let environment = Environment::from_process();
    let clock = system_clock();
    let begin = zoned_now(clock.as_ref());
    let context = ParseContext {
        environment: &environment,
        now: &begin,
    };
    let parsed = Options::parse(arguments, &context).and_then(|options| {
        let spec = commands::check_arguments(options.positional())?;
        spec.check_needed_options(&options)?;
        let warnings = unsupported::check(&options)?;
        Ok((spec, options, warnings))
    });
    let (spec, options, warnings) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            print_error(&error);
            return error.exit_code;
        }
    };
    let console = Arc::new(Console::new(&options));
    let invocation = match Log::new(spec, &options, Arc::clone(&console), Arc::clone(&clock)) {
        Ok(log) => Invocation {
            spec,
            options,
            environment,
            clock,
            begin,
            console,
            log: Arc::new(log),
            control: RunControl::new(),
        },
        Err(error) => {
            print_error(&error);
            return error.exit_code;
        }
    };
    invocation.log.listen_to_libraries();
    for warning in invocation.options.warnings().iter().chain(&warnings) {
        invocation.log.warning("OptionWithoutEffect", warning);
    }
    let outcome = invocation
        .check_temporary_folder()
        .and_then(|()| dispatch(spec, &invocation));
    finish(&invocation, outcome)
}

fn dispatch(spec: &'static CommandSpec, invocation: &Invocation) -> Outcome<ExitCode> {
    match handler(spec.name) {
        Handler::Direct(command) => command(invocation),
        Handler::Runtime(command) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(RUNTIME_THREADS)
                .enable_all()
                .build()
                .map_err(|error| {
                    failed(
                        ids::UNEXPECTED_FAILURE,
                        format!("failed to start the threads of the program: {error}"),
                    )
                })?;
            let outcome = runtime.block_on(signals::guard(invocation, command(invocation)));
            // A thread that still waits for a slow target must not keep the program from ending.
            runtime.shutdown_background();
            outcome
        }
    }
}

fn finish(invocation: &Invocation, outcome: Outcome<ExitCode>) -> ExitCode {
    let outcome = outcome.and_then(|code| {
        invocation.console.flush()?;
        Ok(code)
    });
    match outcome {
        Ok(code) => final_code(invocation, code),
        Err(Failure::OutputClosed) => ExitCode::Success,
        Err(Failure::User(error)) => {
            invocation.log.failure(&error);
            if invocation.console.is_json() {
                // Whoever reads the stream may have gone; the exit code still says it.
                let _told = invocation.console.json(&serde_json::json!({
                    "type": "error", "id": error.id, "message": error.message, "exit_code": error.exit_code.code(),
                }));
                let _flushed = invocation.console.flush();
            }
            print_error(&error);
            error.exit_code
        }
    }
}

/// The text of the help that the arguments ask for, found before anything else is looked at.
fn help_asked_for(arguments: &[OsString]) -> Option<String> {
    let Some(first) = arguments.first().map(|word| word.to_string_lossy()) else {
        return Some(help::overview(env!("CARGO_PKG_VERSION")));
    };
    let topic = if commands::is_help_word(&first) {
        arguments.get(1).map(|word| word.to_string_lossy().into_owned())
    } else if commands::find(&first).is_some() && arguments.iter().any(|word| word == "--help") {
        Some(first.into_owned())
    } else {
        return None;
    };
    Some(match topic {
        None => help::overview(env!("CARGO_PKG_VERSION")),
        Some(topic) => help::topic(&topic).unwrap_or_else(|missing| missing + "\n"),
    })
}

fn print_help(text: &str) -> ExitCode {
    let mut output = std::io::stdout().lock();
    // A reader such as `head` that has seen enough is no failure.
    let _shown = output.write_all(text.as_bytes()).and_then(|()| {
        if !text.ends_with('\n') {
            output.write_all(b"\n")?;
        }
        output.flush()
    });
    ExitCode::Success
}

fn print_error(error: &UserError) {
    let _shown = writeln!(std::io::stderr().lock(), "{error}");
}
