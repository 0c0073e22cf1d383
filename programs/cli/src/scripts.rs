// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The user's programs around a command: what they say goes to the log, what they change to the options.

use std::{
    ffi::OsString,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use duplicati_programs_common::{
    ExitCode, UserError,
    error_id::ids,
    options::{parameters_file::parse_serialized_filter, table},
    reports::{Level as ResultLevel, Report, json, placeholders, report::limited, text},
    scripts::{self, Circumstances, Event, OptionChange, Script, Verdict, Weight},
    value::split_path_list,
};

use crate::{failure::Outcome, invocation::Invocation, logging::Level, results::operation_name};

/// The most log lines in a result file.
const RESULT_LINES_MAX: usize = 1_000;
/// The listener to log lines that the result file gets.
pub const PLACE: &str = "run-script";

/// What the programs before the operation decided.
pub enum Start {
    Run,
    /// The operation is not wanted; the program ends so.
    DoNotRun(ExitCode),
}

/// Runs the programs before the operation and lets them change options.
pub fn before(invocation: &mut Invocation) -> Outcome<Start> {
    let settings = invocation.scripts.clone();
    for script in [&settings.before_required, &settings.before]
        .into_iter()
        .flatten()
    {
        let outcome = run(invocation, script, None, None);
        match outcome.verdict {
            Verdict::Fail(error) => return Err(error.into()),
            Verdict::DoNotRun => {
                invocation.log.information(
                    "AbortOperation",
                    &format!(
                        "The operation was not started because the script {} said so",
                        script.name()
                    ),
                );
                return Ok(Start::DoNotRun(code_of_refusal(invocation)));
            }
            Verdict::Run => {
                for change in outcome.changes {
                    apply(invocation, change)?;
                }
            }
        }
    }
    Ok(Start::Run)
}

fn code_of_refusal(invocation: &Invocation) -> ExitCode {
    let is_backup = invocation.spec.name == "backup";
    if is_backup && invocation.log.error_count() > 0 {
        ExitCode::Errors
    } else if invocation.log.error_count() + invocation.log.warning_count() > 0 {
        ExitCode::Warnings
    } else if is_backup {
        ExitCode::NoChanges
    } else {
        ExitCode::Success
    }
}

/// Runs the program that is to run when the data of a backup is stored.
pub fn post_backup(invocation: &Invocation) {
    if let Some(script) = &invocation.scripts.post_backup {
        run(invocation, script, None, None);
    }
}

/// Runs the program after the operation, with the result in a file.
pub fn after(invocation: &Invocation, report: &Report) {
    let Some(script) = &invocation.scripts.after else {
        return;
    };
    let file = match ResultFile::write(invocation, report) {
        Ok(file) => Some(file),
        Err(error) => {
            let folder = invocation.temporary_folder();
            invocation.log.warning(
                "ResultFileNotWritten",
                &format!(
                    "the result for the script {} could not be written to {}: {error}",
                    script.name(),
                    folder.display()
                ),
            );
            None
        }
    };
    let path = file.as_ref().map(|file| file.0.as_path());
    run(invocation, script, path, Some(report.level));
}

fn run(
    invocation: &Invocation,
    script: &Script,
    result_file: Option<&Path>,
    level: Option<ResultLevel>,
) -> scripts::Outcome {
    let circumstances = Circumstances {
        event: script.event,
        operation: operation_name(invocation.spec.name),
        options: &invocation.options,
        remote_url: invocation.destination_text().unwrap_or_default(),
        local_path: invocation.source_texts(),
        result_file,
        parsed_result: level.map(ResultLevel::name),
    };
    let outcome = scripts::run(script, &invocation.scripts, &circumstances);
    for notice in &outcome.notices {
        let level = match notice.weight {
            Weight::Verbose => Level::Verbose,
            Weight::Information => Level::Information,
            Weight::Warning => Level::Warning,
            Weight::Error => Level::Error,
        };
        invocation.log.write(level, notice.id, b"", &notice.message);
    }
    if script.event == Event::Before {
        invocation.log.write(
            Level::Verbose,
            "ScriptEnded",
            b"",
            &format!("The script {} has ended", script.name()),
        );
    }
    outcome
}

/// Carries out one change. Names that are no option are told and left alone; a value that an option cannot have ends the run, because going on
/// without it would be something else than what was wanted.
fn apply(invocation: &mut Invocation, change: OptionChange) -> Outcome<()> {
    let OptionChange { name, value } = change;
    let takes_destination = invocation.spec.takes_destination;
    let text = || value.clone().unwrap_or_default();
    match name.as_str() {
        "remoteurl" if takes_destination => {
            let rest: Vec<OsString> = invocation.arguments_from(1).to_vec();
            invocation
                .options
                .replace_positional(1, std::iter::once(text()).chain(rest));
        }
        "localpath" if invocation.spec.takes_sources => {
            let paths = split_path_list(&text()).into_iter().map(PathBuf::into_os_string);
            invocation
                .options
                .replace_positional(1 + usize::from(takes_destination), paths);
        }
        "filter" => {
            let text = text();
            let rules = parse_serialized_filter(&text.to_string_lossy())?;
            invocation.options.replace_filters(rules);
        }
        "remoteurl" | "localpath" => invocation.log.information(
            "ScriptChangeIgnored",
            &format!(
                "The command {} has no {name} that a script could change",
                invocation.spec.name
            ),
        ),
        _ if table::find(&name).is_none() => invocation.log.warning(
            "ScriptChangeIgnored",
            &format!("a script wants to set --{}, which is not an option", shown(&name)),
        ),
        _ => {
            let begin = invocation.begin.clone();
            let before = invocation.options.warnings().len();
            invocation
                .options
                .set(&name, value.as_deref(), &begin)
                .map_err(|error| UserError {
                    message: format!("a script set an option: {}", error.message),
                    ..UserError::failed(ids::INVALID_OPTION_VALUE, "")
                })?;
            for warning in &invocation.options.warnings()[before..] {
                invocation.log.warning("OptionWithoutEffect", warning);
            }
        }
    }
    Ok(())
}

fn shown(name: &str) -> String {
    name.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(64)
        .collect()
}

/// The result in a file that goes when the program has read it.
struct ResultFile(PathBuf);

impl ResultFile {
    fn write(invocation: &Invocation, report: &Report) -> std::io::Result<Self> {
        let name = format!(
            "duplicati-result-{}-{}",
            std::process::id(),
            invocation.begin.timestamp().as_nanosecond()
        );
        let path = invocation.temporary_folder().join(name);
        let lines = limited(&invocation.log.collected(PLACE), Some(RESULT_LINES_MAX));
        let content = if invocation.scripts.result_as_json {
            let extra = placeholders::extra(&[], report, &[]);
            serde_json::to_string_pretty(&json::object(report, &extra, &lines)).unwrap_or_default()
        } else {
            text::render(report, &[], &lines)
        };
        let mut file = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let kept = Self(path);
        file.write_all(content.as_bytes())?;
        Ok(kept)
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        let _gone_or_not = std::fs::remove_file(&self.0);
    }
}
