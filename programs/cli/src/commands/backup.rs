// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `backup`: a new version of the sources, then what belongs to a backup: retention, compaction, verification.

use std::sync::Arc;

use duplicati_actors::{
    backup::{BackupReport, run_backup},
    events::{Monitor, Progress},
};
use duplicati_engine::retention::RetentionPolicy;
use duplicati_programs_common::ExitCode;

use super::{backup_options::backup_options, delete::deleted_values};
use crate::{
    connection::{Connection, Target},
    failure::Outcome,
    invocation::Invocation,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::{CommandResult, backup_values},
    retention,
    versions::{self, Version},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let options = backup_options(invocation)?;
    let policy = retention::policy(&invocation.options)?;
    let connection = Target::of(invocation)?.open_or_create(invocation).await?;
    let began = text::zoned_time(&invocation.begin);
    invocation.console.line(format!("Backup started at {began}"))?;
    let monitor = invocation.monitor();
    if !invocation.options.bool("disable-file-scanner") {
        expect_as_last_time(&connection, &monitor);
    }
    let display = ProgressDisplay::start(&invocation.console, &monitor, Work::Backup);
    let outcome = run_backup(
        Arc::clone(&connection.repository),
        connection.local()?,
        options,
        Arc::clone(&invocation.clock),
        monitor.clone(),
        invocation.control.clone(),
    )
    .await;
    drop(display);
    let report = outcome?;
    let removed = after_backup(invocation, &connection, &report, policy.as_ref()).await?;
    print_summary(invocation, &connection, &report)?;
    let code = exit_code(invocation, &report);
    let values = backup_values(&report.progress, report.partial, invocation.is_dry_run());
    CommandResult::new(invocation)
        .with_all(values)
        .with("DeleteResults", deleted_values(&removed, invocation.is_dry_run()))
        .with("SnapshotId", report.snapshot.map(|id| id.to_string()))
        .partial(report.partial)
        .finish(invocation, Some(&connection), &report.progress, code)
}

/// Takes the size of the last backup for that of this one, so that a share of progress can be shown without walking everything twice.
fn expect_as_last_time(connection: &Connection, monitor: &Monitor) {
    const RUNS_LOOKED_AT: u32 = 20;
    let Ok(Ok(runs)) = connection.local().map(|local| local.runs(RUNS_LOOKED_AT)) else {
        return;
    };
    let last = runs.iter().find(|run| run.operation == "Backup");
    let Some(detail) = last.and_then(|run| serde_json::from_str::<serde_json::Value>(&run.detail).ok())
    else {
        return;
    };
    let number = |key: &str| detail.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
    Progress::add(&monitor.progress.expected_files, number("ExaminedFiles"));
    Progress::add(&monitor.progress.expected_bytes, number("SizeOfExaminedFiles"));
}

/// What follows a complete backup. A backup that was stopped early is over at once.
async fn after_backup(
    invocation: &Invocation,
    connection: &Connection,
    report: &BackupReport,
    policy: Option<&RetentionPolicy>,
) -> Outcome<Vec<Version>> {
    let Some(policy) = policy.filter(|_| !report.partial) else {
        return Ok(Vec::new());
    };
    let all = versions::list(invocation, &connection.repository).await?;
    let removed = retention::removed(invocation, &all, policy);
    retention::remove(invocation, &connection.repository, removed, &invocation.control).await
}

fn exit_code(invocation: &Invocation, report: &BackupReport) -> ExitCode {
    if report.partial {
        ExitCode::Partial
    } else if invocation.log.error_count() > 0 {
        ExitCode::Errors
    } else if invocation.log.warning_count() > 0 {
        ExitCode::Warnings
    } else if report.unchanged && report.snapshot.is_none() {
        ExitCode::NoChanges
    } else {
        ExitCode::Success
    }
}

fn print_summary(invocation: &Invocation, connection: &Connection, report: &BackupReport) -> Outcome<()> {
    let counters = &report.progress;
    let duration = invocation.now().duration_since(&invocation.begin).unsigned_abs();
    let files = |count, bytes| format!("{} ({})", text::count(count, "file", "files"), text::size(bytes));
    let console = &invocation.console;
    console.row(format!("  Duration of backup: {}", text::duration(duration)))?;
    console.row(format!(
        "  Destination: {}",
        connection.repository.store.location()
    ))?;
    console.row(format!(
        "  Files examined: {}",
        files(counters.examined_files, counters.examined_bytes)
    ))?;
    console.row(format!(
        "  Files added: {}",
        files(counters.added_files, counters.added_bytes)
    ))?;
    console.row(format!(
        "  Files changed: {}",
        files(counters.modified_files, counters.modified_bytes)
    ))?;
    console.row(format!("  Files deleted: {}", counters.deleted_files))?;
    console.row(format!("  Data uploaded: {}", text::size(counters.stored_bytes)))?;
    console.row(format!(
        "  Data downloaded: {}",
        text::size(counters.fetched_bytes)
    ))?;
    console.line(final_line(invocation, report))?;
    Ok(())
}

fn final_line(invocation: &Invocation, report: &BackupReport) -> &'static str {
    if report.partial {
        "Backup stopped early; what was done so far is kept as a partial version"
    } else if invocation.is_dry_run() {
        "Dry run completed; nothing was stored"
    } else if report.unchanged && report.snapshot.is_none() {
        "Nothing has changed, so no new version was stored"
    } else if invocation.log.error_count() > 0 {
        "Backup completed with errors"
    } else if invocation.log.warning_count() > 0 {
        "Backup completed with warnings"
    } else {
        "Backup completed successfully!"
    }
}
