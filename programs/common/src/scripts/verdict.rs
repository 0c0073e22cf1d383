// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the exit code of a program means for the operation.

use std::time::Duration;

use super::process::Ended;
use super::settings::Script;
use super::{Notice, Weight};
use crate::error_id::{UserError, ids};

/// When a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Before,
    After,
    PostBackup,
}

impl Event {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "BEFORE",
            Self::After => "AFTER",
            Self::PostBackup => "POST-BACKUP",
        }
    }
}

/// What follows for the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Run,
    /// It does not start, because the program said so; the notices tell how bad that is.
    DoNotRun,
    /// It fails, because a required program did.
    Fail(UserError),
}

pub(super) fn judge(script: &Script, ended: &Ended, timeout: Option<Duration>) -> (Verdict, Option<Notice>) {
    if script.required {
        return (judge_required(script, ended, timeout), None);
    }
    let name = script.name();
    let seconds = timeout.unwrap_or_default().as_secs();
    let warn = |id, message: String| Some(Notice::new(Weight::Warning, id, message));
    match (script.event, ended) {
        (_, Ended::TimedOut) => (
            Verdict::Run,
            warn(
                "ScriptTimeout",
                format!(
                    "the script {name} has not ended after {seconds} seconds (--run-script-timeout); the operation goes on \
                     without waiting for it"
                ),
            ),
        ),
        (_, Ended::NotStarted(reason)) => (
            Verdict::Run,
            warn(
                "ScriptExecuteError",
                format!("the script {name} could not be run: {reason}"),
            ),
        ),
        (
            event,
            Ended::Exited {
                code: None, signal, ..
            },
        ) => (
            if event == Event::Before {
                Verdict::DoNotRun
            } else {
                Verdict::Run
            },
            Some(Notice::new(
                Weight::Error,
                "InvalidExitCode",
                format!(
                    "the script {name} was ended by signal {}",
                    signal.unwrap_or_default()
                ),
            )),
        ),
        (Event::Before, Ended::Exited { code: Some(code), .. }) => before(&name, *code),
        (_, Ended::Exited { code: Some(code), .. }) => (Verdict::Run, after(&name, *code)),
    }
}

fn judge_required(script: &Script, ended: &Ended, timeout: Option<Duration>) -> Verdict {
    let name = script.name();
    let invalid = |what: String| {
        Verdict::Fail(UserError::failed(
            ids::RUN_SCRIPT_INVALID_EXIT_CODE,
            format!("the script {name} {what}, so the operation was not started"),
        ))
    };
    match ended {
        Ended::Exited { code: Some(0), .. } => Verdict::Run,
        Ended::Exited { code: Some(code), .. } => invalid(format!("ended with the exit code {code}")),
        Ended::Exited { signal, .. } => {
            invalid(format!("was ended by signal {}", signal.unwrap_or_default()))
        }
        Ended::NotStarted(reason) => invalid(format!("could not be run ({reason})")),
        Ended::TimedOut => Verdict::Fail(UserError::failed(
            ids::RUN_SCRIPT_TIMEOUT,
            format!(
                "the script {name} has not ended after {} seconds (--run-script-timeout), so the operation was not started",
                timeout.unwrap_or_default().as_secs()
            ),
        )),
    }
}

fn before(name: &str, code: i32) -> (Verdict, Option<Notice>) {
    let (verdict, weight) = match code {
        0 => return (Verdict::Run, None),
        1 => return (Verdict::DoNotRun, None),
        2 => (Verdict::Run, Weight::Warning),
        3 => (Verdict::DoNotRun, Weight::Warning),
        4 => (Verdict::Run, Weight::Error),
        _ => (Verdict::DoNotRun, Weight::Error),
    };
    let follows = if verdict == Verdict::Run {
        "the operation goes on"
    } else {
        "the operation was not started"
    };
    let message = format!("the script {name} ended with the exit code {code}; {follows}");
    (verdict, Some(Notice::new(weight, "InvalidExitCode", message)))
}

fn after(name: &str, code: i32) -> Option<Notice> {
    let weight = match code {
        0 | 1 => return None,
        2 | 3 => Weight::Warning,
        _ => Weight::Error,
    };
    let message = format!("the script {name} ended with the exit code {code}");
    Some(Notice::new(weight, "InvalidExitCode", message))
}
