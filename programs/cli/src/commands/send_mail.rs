// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `send-mail`: a mail that tries the mail options.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_programs_common::{
    ExitCode,
    error_id::ids,
    reports::{Level, Report, ReportSettings, mail},
};
use serde_json::{Map, json};

use crate::{
    failure::{Outcome, failed, wrong_arguments},
    invocation::Invocation,
    reports::facts_of,
    results::{CommandResult, operation_name},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let settings = ReportSettings::from_options(&invocation.options)?;
    let Some(settings) = settings.mail else {
        return Err(wrong_arguments(
            "no address was given; say who gets the mail with --send-mail-to",
        ));
    };
    let report = Report {
        operation: operation_name(invocation.spec.name).to_owned(),
        level: Level::Success,
        result: Some(Map::from_iter([
            (
                "MainOperation".to_owned(),
                json!(operation_name(invocation.spec.name)),
            ),
            ("ParsedResult".to_owned(), json!(Level::Success.name())),
        ])),
        failure: None,
        facts: facts_of(invocation),
    };
    let line = "This mail was sent to try the mail options".to_owned();
    mail::send(&settings, &report, &[line])
        .await
        .map_err(|failure| failed(ids::REPORT_NOT_SENT, failure))?;
    invocation
        .console
        .line(format!("The mail was sent to {}", settings.to.join(", ")))?;
    CommandResult::new(invocation)
        .with("Recipients", settings.to.clone())
        .finish(invocation, None, &ProgressSnapshot::default(), ExitCode::Success)
}
