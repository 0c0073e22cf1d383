// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `backup`: a new version of the sources, then what belongs to a backup: retention, compaction, verification.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::Arc,
};

use duplicati_actors::{
    backup::{BackupReport, run_backup},
    compact::CompactReport,
    events::{Monitor, Progress},
};
use duplicati_engine::retention::RetentionPolicy;
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::json;

use super::{
    backup_follow_up::follow_up,
    backup_options::backup_options,
    compact::{compact, compact_options, compact_values},
    delete::deleted_values,
    remote_sync::RemoteSync,
};
use crate::{
    connection::{Connection, Target, folder_identities},
    failure::{Failure, Outcome, failed},
    invocation::Invocation,
    os_snapshot::OsSnapshots,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::{CommandResult, backup_values},
    retention, scripts,
    versions::{self, Version},
};

/// Recorded runs among which the last one of a kind is looked for.
const RUNS_LOOKED_AT: u32 = 200;

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let mut options = backup_options(invocation)?;
    let policy = retention::policy(&invocation.options)?;
    let remote_sync = RemoteSync::from_options(invocation)?;
    let target = Target::of(invocation)?;
    let destination = target.destination.clone();
    // First, so that nothing is made at the destination of a backup that must not run without.
    let snapshots = OsSnapshots::make(invocation, &options.sources)?;
    options.relocations = snapshots.relocations();
    let connection = target.open_or_create(invocation).await?;
    options.destinations = folder_identities(&destination, &invocation.options);
    refuse_sources_in_destination(&options.sources, &options.destinations)?;
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
    // Before anything else may fail: a snapshot grows with every change until it goes.
    drop(snapshots);
    let report = outcome?;
    if !report.partial && !invocation.is_dry_run() {
        scripts::post_backup(invocation);
    }
    // The version stands whatever becomes of this: a failure here is an error of the run and does not take its result away.
    let after = after_backup(invocation, &connection, &report, policy.as_ref(), &monitor).await;
    let after = told(invocation, "CleaningUpFailed", after)?.unwrap_or_default();
    let followed = follow_up(
        invocation,
        &connection,
        report.snapshot.is_some() && !report.partial,
        &monitor,
    )
    .await;
    let followed = told(invocation, "FollowUpFailed", followed)?.unwrap_or_else(|| json!({}));
    let copied = match &remote_sync {
        Some(config) if !report.partial && !invocation.is_dry_run() => {
            let copied = config.carry_out(invocation, &connection, &monitor).await;
            told(invocation, "RemoteSyncFailed", copied)?.unwrap_or(serde_json::Value::Null)
        }
        _ => serde_json::Value::Null,
    };
    print_summary(invocation, &connection, &report)?;
    let code = exit_code(invocation, &report);
    let values = backup_values(&report.progress, report.partial, invocation.is_dry_run());
    CommandResult::new(invocation)
        .with_all(values)
        .with_all(json!({"RepairResults": null, "LockResults": null, "RemoteSynchronizationResults": copied}))
        .with_all(followed)
        .with(
            "DeleteResults",
            deleted_values(&after.removed, invocation.is_dry_run()),
        )
        .with("CompactResults", after.compacted.as_ref().map(compact_values))
        .with("SnapshotId", report.snapshot.map(|id| id.to_string()))
        .partial(report.partial)
        .finish(invocation, Some(&connection), &monitor.progress.snapshot(), code)
}

/// Turns a failure behind a finished backup into an error of its result. A cancelled run and a closed output end it all the same.
fn told<T>(invocation: &Invocation, id: &str, outcome: Outcome<T>) -> Outcome<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Failure::User(error)) if error.id != ids::RUN_CANCELLED => {
            invocation.log.error(id, &error.message);
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// A source inside of the destination would store stored files, and more of them each time.
fn refuse_sources_in_destination(sources: &[Vec<u8>], destinations: &[(u64, u64)]) -> Outcome<()> {
    for source in sources {
        let source = Path::new(OsStr::from_bytes(source));
        let Ok(whole) = source.canonicalize() else {
            continue;
        };
        let is_inside = whole.ancestors().any(|folder| {
            folder
                .metadata()
                .is_ok_and(|metadata| destinations.contains(&(metadata.dev(), metadata.ino())))
        });
        if is_inside {
            return Err(failed(
                ids::INVALID_DESTINATION,
                format!(
                    "the source {} lies in the destination; store the backup somewhere else",
                    source.display()
                ),
            ));
        }
    }
    Ok(())
}

/// What was done behind a backup.
#[derive(Default)]
struct After {
    removed: Vec<Version>,
    compacted: Option<CompactReport>,
}

/// Takes the size of the last backup for that of this one, so that a share of progress can be shown without walking everything twice.
fn expect_as_last_time(connection: &Connection, monitor: &Monitor) {
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
    monitor: &Monitor,
) -> Outcome<After> {
    let mut after = After::default();
    // Without a database this is a dry run into nowhere. With a write-only key nothing can be read, and cleaning up is another machine's task.
    let may_read = connection.repository.data.can_open();
    if report.partial || connection.database.is_none() || !may_read {
        return Ok(after);
    }
    if policy.is_some() && report.missing_sources > 0 && !invocation.options.bool("allow-missing-source") {
        // An unmounted disk must not cost the last good copy of what is on it.
        invocation.log.warning(
            "RetentionSkipped",
            "a source is missing, so no older version is deleted; --allow-missing-source says that it may be",
        );
        return Ok(after);
    }
    if let Some(policy) = policy {
        // Other machines and jobs in this repository keep theirs by rules of their own.
        let mut own = versions::list(invocation, &connection.repository).await?;
        // When nothing had changed, the version that it was compared with stands for this run.
        let newest = report.snapshot.or(report.parent);
        let present = own.iter().find(|version| Some(version.id) == newest).cloned();
        own.retain(|version| {
            present.as_ref().is_some_and(|present| {
                retention::history_of(&version.manifest) == retention::history_of(&present.manifest)
            })
        });
        let mut removed = retention::removed(invocation, &own, policy);
        // Whatever the clocks say: a backup never removes what it has just made.
        removed.retain(|version| Some(version.id) != report.snapshot);
        after.removed =
            retention::remove(invocation, &connection.repository, removed, &invocation.control).await?;
    }
    if is_compaction_due(invocation, connection, !after.removed.is_empty()) {
        invocation.console.line("Looking for space to reclaim")?;
        let options = compact_options(invocation)?;
        after.compacted = Some(compact(invocation, connection, options, monitor).await?);
    }
    Ok(after)
}

/// Whether to compact now. Finding out what is needed reads every tree once, so it is not done behind each backup: only when versions went, or
/// when as many backups were made since the last time as small files are to gather.
fn is_compaction_due(invocation: &Invocation, connection: &Connection, has_removed: bool) -> bool {
    let options = &invocation.options;
    if options.bool("no-auto-compact") || invocation.is_dry_run() {
        return false;
    }
    let runs = connection
        .local()
        .and_then(|local| Ok(local.runs(RUNS_LOOKED_AT)?))
        .unwrap_or_default();
    let last = runs.iter().position(|run| {
        run.operation == "Compact"
            || (run.operation == "Backup" && run.detail.contains("\"CompactResults\":{"))
    });
    let interval = options.timespan("auto-compact-interval").unwrap_or_default();
    let is_too_soon = last
        .and_then(|position| runs[position].begin.parse::<jiff::Timestamp>().ok())
        .is_some_and(|begin| {
            let age = invocation.begin.timestamp().duration_since(begin).unsigned_abs();
            age < interval.to_duration()
        });
    let backups_since = last.unwrap_or(runs.len());
    let small_files_max = options.integer("small-file-max-count").unwrap_or(20);
    let have_gathered = usize::try_from(small_files_max).is_ok_and(|max| backups_since >= max.max(1));
    !is_too_soon && (has_removed || have_gathered)
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
