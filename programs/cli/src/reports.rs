// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reports on the command at hand: when they are due, and what becomes of those that nobody took.

use duplicati_programs_common::{
    Options,
    reports::{Channel, Facts, Level, Report, ReportSettings, facts, send_all},
    scripts::ScriptSettings,
};
use serde_json::{Map, Value};

use crate::{
    failure::{Failure, Outcome},
    invocation::Invocation,
    logging::Listener,
    results::operation_name,
    scripts,
};

/// Who wants log lines at the end, by the options.
pub fn listeners(settings: &ReportSettings, script_settings: &ScriptSettings) -> Vec<Listener> {
    let senders = Channel::ALL
        .into_iter()
        .filter(|channel| settings.has(*channel))
        .map(|channel| Listener {
            place: channel.prefix(),
            is_elsewhere: true,
        });
    let script = script_settings.after.is_some().then_some(Listener {
        place: scripts::PLACE,
        is_elsewhere: false,
    });
    senders.chain(script).collect()
}

/// What is told about a command that has ended.
pub fn report(invocation: &Invocation, outcome: &Outcome<duplicati_programs_common::ExitCode>) -> Report {
    let result = invocation.kept_result();
    let failure = match outcome {
        Err(Failure::User(error)) => Some(error.to_string()),
        _ => None,
    };
    let level = match (&failure, result.as_ref().and_then(level_of)) {
        (Some(_), _) => Level::Fatal,
        (None, Some(level)) => level,
        (None, None) if invocation.log.error_count() > 0 => Level::Error,
        (None, None) if invocation.log.warning_count() > 0 => Level::Warning,
        (None, None) => Level::Success,
    };
    Report {
        operation: operation_name(invocation.spec.name).to_owned(),
        level,
        result,
        failure,
        facts: facts_of(invocation),
    }
}

fn level_of(result: &Map<String, Value>) -> Option<Level> {
    Level::from_name(result.get("ParsedResult")?.as_str()?)
}

/// What reports say about machine, job and destination.
pub fn facts_of(invocation: &Invocation) -> Facts {
    let destination = facts::destination_of(invocation.destination_text(), &invocation.environment);
    Facts::gather(
        &invocation.options,
        &invocation.environment,
        &invocation.data_folder(),
        destination.as_ref(),
        invocation.source_texts(),
        "duplicati-cli",
    )
}

/// Sends the reports that are due; what could not be sent is a warning.
pub fn send(invocation: &Invocation, report: &Report) {
    let settings = match ReportSettings::from_options(&invocation.options) {
        Ok(settings) => settings,
        Err(error) => return invocation.log.warning("ReportNotSent", &error.message),
    };
    if settings.is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failures = match runtime {
        Ok(runtime) => runtime.block_on(send_all(&settings, report, |channel| {
            invocation.log.collected(channel.prefix())
        })),
        Err(error) => vec![format!("the report was not sent: {error}")],
    };
    for failure in failures {
        invocation.log.warning("ReportNotSent", &failure);
    }
}

/// Checks the options of reports before any work is done.
pub fn settings(options: &Options) -> Result<ReportSettings, duplicati_programs_common::UserError> {
    ReportSettings::from_options(options)
}
