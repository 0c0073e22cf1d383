// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a backup does when versions and space are in order: it reads a sample back, tidies its database, and counts what the destination holds.

use duplicati_actors::{
    events::Monitor,
    verify::{SampleReport, run_sample},
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

/// How many sets are read back: the larger of a number and a share of the versions.
fn samples(invocation: &Invocation, versions: usize) -> usize {
    let options = &invocation.options;
    let count = options.integer("backup-test-samples").unwrap_or(1);
    let count = usize::try_from(count).unwrap_or(SAMPLES_MAX);
    let share = options
        .decimal("backup-test-percentage")
        .unwrap_or_default()
        .max(0.0)
        / 100.0;
    // 0 samples switch the test off, whatever the share.
    if count == 0 {
        return 0;
    }
    let by_share = (share * versions as f64).round() as usize;
    count.max(by_share).min(SAMPLES_MAX)
}

async fn test(invocation: &Invocation, connection: &Connection, monitor: &Monitor) -> Outcome<Value> {
    let versions = connection
        .repository
        .store
        .list(duplicati_engine::storage::ObjectKind::Snapshot)
        .await?
        .objects
        .len();
    let samples = samples(invocation, versions);
    if samples == 0 {
        return Ok(Value::Null);
    }
    let report = run_sample(&connection.repository, samples, monitor, &invocation.control).await?;
    let SampleReport { objects, findings } = report;
    for (object, text) in &findings {
        invocation.log.write(
            crate::logging::Level::Error,
            "RemoteFileBroken",
            b"",
            &format!(
                "The stored file {object} is damaged: {text}; run the command test to see what that costs"
            ),
        );
    }
    let shown: Vec<Value> = findings
        .iter()
        .map(|(object, text)| json!({"Key": object, "Value": [{"Key": "Error", "Value": text}]}))
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
