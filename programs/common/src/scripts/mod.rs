// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Programs of the user that run around an operation (`--run-script-…`).
//!
//! Reading order: [`settings`] (what was asked for), `process` (running one program with a limit of time), `output` (what its lines mean),
//! [`verdict`] (what its exit code means). Nothing here writes to a log: everything worth a line is returned as a [`Notice`].

mod output;
pub mod process;
pub mod settings;
pub mod verdict;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use duplicati_engine::source::filter::{RuleKind, serialize};

use crate::destination::Destination;
use crate::options::{FilterRule, Options};

pub use output::OptionChange;
pub use settings::{Script, ScriptSettings};
pub use verdict::{Event, Verdict};

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    Verbose,
    Information,
    Warning,
    Error,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub weight: Weight,
    pub id: &'static str,
    pub message: String,
}

impl Notice {
    fn new(weight: Weight, id: &'static str, message: impl Into<String>) -> Self {
        Self {
            weight,
            id,
            message: message.into(),
        }
    }
}

/// What a program is told about the operation.
pub struct Circumstances<'a> {
    pub event: Event,
    /// The operation's name in results, such as `Backup`.
    pub operation: &'a str,
    pub options: &'a Options,
    /// The destination as it was given; empty for operations without one.
    pub remote_url: &'a OsStr,
    /// The sources.
    pub local_path: &'a [OsString],
    /// Where the result lies, after the operation.
    pub result_file: Option<&'a Path>,
    /// The level of the result, after the operation.
    pub parsed_result: Option<&'a str>,
}

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub notices: Vec<Notice>,
    /// Options that the program wants changed; only looked at before an operation.
    pub changes: Vec<OptionChange>,
}

/// Runs one program and says what follows from it. Blocks for as long as the time limit allows.
pub fn run(script: &Script, settings: &ScriptSettings, circumstances: &Circumstances<'_>) -> Outcome {
    let variables = variables(circumstances);
    let mut notices = Vec::new();
    let ended = match settings.command_line(script) {
        Ok(words) => process::run(&words, &variables, settings.timeout),
        Err(message) => process::Ended::NotStarted(message),
    };
    let (verdict, said) = verdict::judge(script, &ended, settings.timeout);
    let mut changes = Vec::new();
    if let process::Ended::Exited { stdout, stderr, .. } = &ended {
        let read = output::read(stdout);
        notices.extend(read.notices);
        if circumstances.event == Event::Before {
            changes = read.changes;
        }
        let stderr = String::from_utf8_lossy(stderr);
        if !stderr.trim().is_empty() {
            notices.push(Notice::new(
                Weight::Warning,
                "StdErrorNotEmpty",
                format!(
                    "the script {} wrote to standard error: {}",
                    script.name(),
                    stderr.trim_end()
                ),
            ));
        }
    }
    notices.extend(said);
    Outcome {
        verdict,
        notices,
        changes,
    }
}

/// The environment of a program, besides what this process has. Options are there as they were given, secrets included, as a program that
/// prepares a destination needs them.
fn variables(circumstances: &Circumstances<'_>) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = circumstances
        .options
        .given_texts()
        .map(|given| {
            let name = given.name.replace('-', "_");
            (
                OsString::from(format!("DUPLICATI__{name}")),
                given.value.to_owned(),
            )
        })
        .collect();
    let mut add = |name: &str, value: &OsStr| {
        variables.push((OsString::from(format!("DUPLICATI__{name}")), value.to_owned()));
    };
    add("EVENTNAME", OsStr::new(circumstances.event.name()));
    add("OPERATIONNAME", OsStr::new(circumstances.operation));
    add("REMOTEURL", circumstances.remote_url);
    add("LOCALPATH", &joined(circumstances.local_path));
    add(
        "FILTER",
        OsStr::new(&serialized_filter(circumstances.options.filters())),
    );
    if let Some(file) = circumstances.result_file {
        add("RESULTFILE", file.as_os_str());
    }
    if let Some(level) = circumstances.parsed_result {
        add("PARSED_RESULT", OsStr::new(level));
    }
    variables
}

/// Paths joined with `:`.
pub fn joined(paths: &[OsString]) -> OsString {
    let parts: Vec<&[u8]> = paths.iter().map(|path| path.as_bytes()).collect();
    OsString::from_vec(parts.join(&b':'))
}

/// Filters in the form that `--append-filter` takes.
pub fn serialized_filter(filters: &[FilterRule]) -> String {
    serialize(filters.iter().map(|rule| {
        let kind = match rule.include {
            true => RuleKind::Include,
            false => RuleKind::Exclude,
        };
        (kind, rule.expression.as_str())
    }))
}

/// A destination as it may be shown: without its secrets.
pub fn shown_destination(text: &OsStr, current_folder: &Path) -> String {
    match Destination::parse(text, current_folder) {
        Ok(destination) => destination.to_string(),
        Err(_) => "(destination)".to_owned(),
    }
}
