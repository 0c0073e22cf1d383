// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From arguments to an exit code.

use std::{
    ffi::OsString,
    io::Write,
    process::ExitCode as ProcessExit,
    sync::{Arc, Mutex},
};

use duplicati_actors::{control::RunControl, events::ProgressSnapshot};
use duplicati_programs_common::{
    Environment, ExitCode, Options, ParseContext, Question, UserError, allocator,
    commands::{self, CommandSpec},
    error_id::ids,
    help, open_files, question,
    reports::Level,
    scripts::ScriptSettings,
};

use crate::{
    commands::{Handler, handler},
    failure::{Failure, Outcome, failed},
    invocation::{Invocation, system_clock, zoned_now},
    logging::Log,
    machine::{self, MetricsFile},
    output::Console,
    reports,
    results::{self, CommandResult, final_code},
    scripts::{self, Start},
    signals, unsupported,
};

/// Async work moves few bytes itself; what needs the processor runs on threads of its own.
const RUNTIME_THREADS: usize = 2;

/// Runs the program with the arguments behind its name.
pub fn run(arguments: Vec<OsString>) -> ProcessExit {
    allocator::hand_back_large_buffers();
    open_files::allow_many();
    carry_out(arguments).into()
}

fn carry_out(arguments: Vec<OsString>) -> ExitCode {
    if question(&arguments) == Some(Question::Version) {
        return print_help(env!("CARGO_PKG_VERSION"));
    }
    if let Some(text) = help_asked_for(&arguments) {
        return print_help(&text);
    }
    let wants_json = arguments.iter().any(|argument| {
        let argument = argument.to_string_lossy().to_ascii_lowercase();
        matches!(
            argument.as_str(),
            "--json" | "--json=true" | "--json=yes" | "--json=on" | "--json=1"
        )
    });
    let refuse = |error: &UserError| {
        if wants_json {
            let mut out = std::io::stdout().lock();
            // Whoever reads the stream may have gone; the exit code still says it.
            let _told = writeln!(out, "{}", error_line(error)).and_then(|()| out.flush());
        }
        print_error(error);
        error.exit_code
    };
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
        unsupported::check(&options)?;
        let reports = reports::settings(&options)?;
        Ok((spec, options, reports))
    });
    let (spec, options, report_settings) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            return refuse(&error);
        }
    };
    let console = Arc::new(Console::new(&options));
    let scripts = ScriptSettings::from_options(&options);
    let listeners = reports::listeners(&report_settings, &scripts);
    let log = Log::new(
        spec,
        &options,
        Arc::clone(&console),
        Arc::clone(&clock),
        &listeners,
    );
    let mut invocation = match log {
        Ok(log) => Invocation {
            spec,
            options,
            environment,
            clock,
            begin,
            console,
            log: Arc::new(log),
            control: RunControl::new(),
            scripts,
            result: Mutex::default(),
            watched: None,
        },
        Err(error) => {
            return refuse(&error);
        }
    };
    invocation.log.listen_to_libraries();
    for warning in invocation.options.warnings() {
        invocation.log.warning("OptionWithoutEffect", warning);
    }
    machine::lower_disk_priority(&invocation.options, &invocation.log);
    let metrics = match MetricsFile::start(&invocation.options) {
        Ok(metrics) => metrics,
        Err(error) => {
            return refuse(&error);
        }
    };
    let outcome = invocation
        .check_temporary_folder()
        .and_then(|()| surrounded(&mut invocation));
    if let Some(metrics) = metrics {
        metrics.write(&invocation.log);
    }
    finish(&invocation, outcome)
}

/// The command with what the user wants to happen before and after it.
pub(crate) fn surrounded(invocation: &mut Invocation) -> Outcome<ExitCode> {
    let spec = invocation.spec;
    // Commands without a destination are questions to this program itself.
    if !spec.takes_destination {
        return dispatch(spec, invocation);
    }
    let outcome = match scripts::before(invocation) {
        Ok(Start::Run) => spec
            .check_needed_options(&invocation.options)
            .map_err(Failure::from)
            .and_then(|()| dispatch(spec, invocation)),
        Ok(Start::DoNotRun(code)) => {
            CommandResult::new(invocation).finish(invocation, None, &ProgressSnapshot::default(), code)?;
            let report = reports::report(invocation, &Ok(code));
            scripts::after(invocation, &report);
            // Exit code 1 of the script means: say nothing.
            if report.level != Level::Success {
                reports::send(invocation, &report);
            }
            return Ok(code);
        }
        Err(failure) => Err(failure),
    };
    if matches!(outcome, Err(Failure::OutputClosed)) {
        return outcome;
    }
    let report = reports::report(invocation, &outcome);
    signals::end_at_once();
    scripts::after(invocation, &report);
    reports::send(invocation, &report);
    outcome
}

/// Commands that do nothing but print: they may end when nobody reads any more.
const ONLY_PRINT: [&str; 14] = [
    "affected",
    "changelog",
    "compare",
    "create-report",
    "dump",
    "examples",
    "find",
    "help",
    "license",
    "list",
    "list-filesets",
    "list-folder",
    "system-info",
    "test-filters",
];

fn dispatch(spec: &'static CommandSpec, invocation: &Invocation) -> Outcome<ExitCode> {
    if !ONLY_PRINT.contains(&spec.name) {
        invocation.console.outlive_reader();
    }
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
            let outcome = if invocation.watched.is_some() {
                // Signals belong to the program that this command is a part of.
                runtime.block_on(command(invocation))
            } else {
                runtime.block_on(signals::guard(invocation, command(invocation)))
            };
            // A thread that still waits for a slow target must not keep the program from ending.
            runtime.shutdown_background();
            outcome
        }
    }
}

fn finish(invocation: &Invocation, outcome: Outcome<ExitCode>) -> ExitCode {
    let outcome = outcome.and_then(|code| {
        let code = final_code(invocation, code);
        if let Some(result) = invocation.kept_result() {
            results::print(invocation, result, code)?;
        }
        invocation.console.flush()?;
        Ok(code)
    });
    match outcome {
        Ok(code) => code,
        Err(Failure::OutputClosed) => ExitCode::Success,
        Err(Failure::User(error)) => {
            invocation.log.failure(&error);
            if invocation.console.is_json() {
                // Whoever reads the stream may have gone; the exit code still says it.
                let _told = invocation.console.json(&error_line(&error));
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

/// `{"type": "error", …}`, the last line of a command that failed.
fn error_line(error: &UserError) -> serde_json::Value {
    serde_json::json!({
        "type": "error", "id": error.id, "message": error.message, "exit_code": error.exit_code.code(),
    })
}

fn print_error(error: &UserError) {
    let _shown = writeln!(std::io::stderr().lock(), "{error}");
}
