// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a backup does when versions and space are in order: it reads a sample back, tidies its database, and counts what the destination holds.

use std::sync::Arc;

use duplicati_actors::{
    events::Monitor,
    verify::{Samples, SpotCheckReport, run_spot_check},
};
use serde_json::{Value, json};

use crate::{connection::Connection, failure::Outcome, holdings, invocation::Invocation};

/// Recorded runs among which the last one that shrank the database is looked for.
const RUNS_LOOKED_AT: u32 = 200;
/// The most sets of stored files that are read back, whatever is asked for.
const SAMPLES_MAX: usize = 10_000;

/// Does the rest, and gives further keys of the result.
pub async fn follow_up(
    invocation: &Invocation,
    connection: &Connection,
    has_stored: bool,
    monitor: &Monitor,
) -> Outcome<Value> {
    if connection.database.is_none() || invocation.is_dry_run() {
        return Ok(json!({}));
    }
    let options = &invocation.options;
    if options.is_given("remote-file-lock-duration") {
        invocation.log.warning(
            "BackendDoesNotSupportLocking",
            "--remote-file-lock-duration: this kind of destination cannot lock stored files against deletion",
        );
    }
    let mut tested = None;
    let mut held = None;
    if !options.bool("no-backend-verification") {
        if has_stored {
            tested = Some(test(invocation, connection, monitor).await?);
        }
        held = Some(holdings::count(invocation, connection).await?);
    }
    let vacuumed = vacuum_if_due(invocation, connection)?;
    Ok(json!({
        "TestResults": tested,
        "VacuumResults": vacuumed,
        "Holdings": held.map(|held| held.values()),
    }))
}

/// How many sets are read back, and at least which share of the versions; none when the test is switched off.
fn samples(invocation: &Invocation) -> Option<Samples> {
    let options = &invocation.options;
    let count = options.integer("backup-test-samples").unwrap_or(1);
    let count = usize::try_from(count).unwrap_or(SAMPLES_MAX).min(SAMPLES_MAX);
    // 0 samples switch the test off, whatever the share.
    (count > 0).then(|| Samples {
        count,
        percent: options
            .decimal("backup-test-percentage")
            .unwrap_or_default()
            .clamp(0.0, 100.0),
    })
}

/// Reads a few stored files from the destination again, so that a destination that loses data is noticed before everything is lost.
async fn test(invocation: &Invocation, connection: &Connection, monitor: &Monitor) -> Outcome<Value> {
    let Some(samples) = samples(invocation) else {
        return Ok(Value::Null);
    };
    if !connection.repository.data.can_open() {
        return Ok(Value::Null);
    }
    let mut local = connection.local()?;
    let SpotCheckReport { objects, findings } = run_spot_check(
        Arc::clone(&connection.repository),
        &mut local,
        samples,
        monitor.clone(),
        invocation.control.clone(),
    )
    .await?;
    for finding in &findings {
        invocation.log.write(
            crate::logging::Level::Error,
            "VerificationFailed",
            finding.object.as_bytes(),
            &format!(
                "{}; the command test tells more, and repair saves what can be saved",
                finding.text
            ),
        );
    }
    let shown: Vec<Value> = findings
        .iter()
        .map(|finding| json!({"Key": finding.object, "Value": [{"Key": "Error", "Value": finding.text}]}))
        .collect();
    Ok(json!({
        "ExaminedFiles": objects, "VerificationsActualLength": shown.len(), "Verifications": shown,
    }))
}

fn vacuum_if_due(invocation: &Invocation, connection: &Connection) -> Outcome<Value> {
    let options = &invocation.options;
    if !options.bool("auto-vacuum") {
        return Ok(Value::Null);
    }
    let interval = options
        .timespan("auto-vacuum-interval")
        .unwrap_or_default()
        .to_duration();
    let local = connection.local()?;
    let is_too_soon = local
        .runs(RUNS_LOOKED_AT)?
        .iter()
        .find(|run| run.operation == "Vacuum" || run.detail.contains("\"VacuumResults\":{"))
        .and_then(|run| run.begin.parse::<jiff::Timestamp>().ok())
        .is_some_and(|begin| invocation.begin.timestamp().duration_since(begin).unsigned_abs() < interval);
    if is_too_soon {
        return Ok(Value::Null);
    }
    local.vacuum()?;
    Ok(json!({"MainOperation": "Vacuum"}))
}
