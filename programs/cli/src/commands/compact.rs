// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `compact`: gives back the space of data that no version uses.

use std::sync::Arc;

use duplicati_actors::{
    compact::{CompactOptions, CompactReport, run_compact},
    events::Monitor,
};
use duplicati_engine::compaction::Thresholds;
use duplicati_programs_common::{ExitCode, Options};
use serde_json::{Value, json};

use super::backup_options::{host_name, pack_size_bytes, program};
use crate::{
    connection::{Connection, Target},
    failure::Outcome,
    invocation::Invocation,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::CommandResult,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let options = compact_options(invocation)?;
    let connection = Target::of(invocation)?.open_to_write(invocation).await?;
    let monitor = invocation.monitor();
    let report = compact(invocation, &connection, options, &monitor).await?;
    CommandResult::new(invocation)
        .with_all(compact_values(&report))
        .errors(!report.damaged.is_empty())
        .finish(
            invocation,
            Some(&connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}

/// Compacts, and prints what came of it.
pub async fn compact(
    invocation: &Invocation,
    connection: &Connection,
    options: CompactOptions,
    monitor: &Monitor,
) -> Outcome<CompactReport> {
    let mut local = connection.local()?;
    let display = ProgressDisplay::start(&invocation.console, monitor, Work::Maintenance);
    let outcome = run_compact(
        Arc::clone(&connection.repository),
        Some(&mut local),
        options,
        Arc::clone(&invocation.clock),
        monitor.clone(),
        invocation.control.clone(),
    )
    .await;
    drop(display);
    let report = outcome?;
    invocation.console.line(summary(&report))?;
    Ok(report)
}

/// How to compact, as the options say.
pub fn compact_options(invocation: &Invocation) -> Outcome<CompactOptions> {
    let options = &invocation.options;
    let pack_size = pack_size_bytes(invocation)?;
    Ok(CompactOptions {
        thresholds: thresholds(options, pack_size),
        level: options.zstd_level(),
        dry_run: invocation.is_dry_run(),
        exclusive: options.bool("exclusive"),
        session_age_seconds_max: options
            .timespan("session-age-max")
            .and_then(|age| i64::try_from(age.to_duration().as_secs()).ok())
            .unwrap_or(duplicati_actors::compact::SESSION_AGE_SECONDS_MAX),
        host: host_name(options),
        program: program(),
        ..CompactOptions::new(pack_size)
    })
}

fn thresholds(options: &Options, pack_size: u64) -> Thresholds {
    let number = |name: &str| options.integer(name).filter(|_| options.is_given(name));
    let mut thresholds = Thresholds::for_pack_size(pack_size);
    if let Some(percent) = number("threshold").and_then(|percent| u32::try_from(percent).ok()) {
        thresholds.waste_percent = percent;
    }
    if let Some(size) = options.size("small-file-size") {
        thresholds.small_size_bytes = size;
    }
    if let Some(count) = number("small-file-max-count").and_then(|count| usize::try_from(count).ok()) {
        thresholds.small_count_max = count;
    }
    thresholds
}

fn summary(report: &CompactReport) -> String {
    if report.dry_run && report.plan.removed.is_empty() {
        return "There is nothing worth compacting".to_owned();
    }
    if report.dry_run {
        return format!(
            "Would delete {} ({}), after copying {} that are needed",
            text::count(report.plan.removed.len() as u64, "stored file", "stored files"),
            text::size(report.plan.removed_bytes),
            text::size(report.plan.copied_raw_bytes)
        );
    }
    if !report.waiting_for.is_empty() {
        return format!(
            "{} still running on other machines, so that what is not needed is deleted by a later run; if none of them is, use --exclusive",
            text::count(report.waiting_for.len() as u64, "backup is", "backups are")
        );
    }
    if report.deleted_packs + report.written_packs == 0 {
        return "There is nothing worth compacting".to_owned();
    }
    format!(
        "Compacted: deleted {} ({}), wrote {} ({})",
        text::count(report.deleted_packs, "stored file", "stored files"),
        text::size(report.deleted_bytes),
        text::count(report.written_packs, "new one", "new ones"),
        text::size(report.written_bytes)
    )
}

/// The keys of a result that compacted.
pub fn compact_values(report: &CompactReport) -> Value {
    json!({
        "DeletedFileCount": report.deleted_packs + report.deleted_segments,
        "DeletedFileSize": report.deleted_bytes,
        "DownloadedFileCount": 0,
        "DownloadedFileSize": 0,
        "UploadedFileCount": report.written_packs + report.written_segments,
        "UploadedFileSize": report.written_bytes,
        "Dryrun": report.dry_run,
        "WastedSize": report.plan.waste_bytes,
        "Finished": report.is_finished(),
        "EndedSessions": report.fenced_sessions,
    })
}
