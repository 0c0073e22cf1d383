// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `purge`: writes versions again without the files that the arguments and filters name.

use std::sync::Arc;

use duplicati_actors::purge::{PurgeError, PurgeOptions, PurgeReport, PurgeWhat, run_purge};
use duplicati_engine::restore::Selection;
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::json;

use super::{
    backup_options::{host_name, program},
    path_choice::PathChoice,
    test::SHOWN_MAX,
};
use crate::{
    connection::Target,
    failure::{Failure, Outcome, failed},
    invocation::Invocation,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::CommandResult,
    versions::{self, Otherwise},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let choice = PathChoice::new(invocation, invocation.arguments_from(1))?;
    if choice.takes_everything() {
        return Err(failed(
            ids::EMPTY_FILTER_PURGE_NOT_ALLOWED,
            "name the files to take out, or give --include; without either every file of every version would go",
        ));
    }
    let filter = move |path: &[u8]| choice.select(path) == Selection::Take;
    purge(invocation, PurgeWhat::Matching(Arc::new(filter))).await
}

/// Purges the chosen versions, all if none is chosen, and tells what went.
pub async fn purge(invocation: &Invocation, what: PurgeWhat) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_write(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    let chosen = versions::choose(invocation, &all, Otherwise::All)?;
    let options = PurgeOptions {
        snapshots: chosen.iter().map(|version| version.id).collect(),
        what,
        dry_run: invocation.is_dry_run(),
        full: invocation.options.bool("full-result"),
        host: host_name(&invocation.options),
        program: program(),
    };
    let monitor = invocation.monitor();
    let mut local = connection.local()?;
    let display = ProgressDisplay::start(&invocation.console, &monitor, Work::Maintenance);
    let outcome = run_purge(
        Arc::clone(&connection.repository),
        Some(&mut local),
        options,
        Arc::clone(&invocation.clock),
        monitor.clone(),
        invocation.control.clone(),
    )
    .await;
    drop(display);
    let report = outcome.map_err(|error| match error {
        PurgeError::WouldRemoveEntireFileset { .. } => {
            failed(ids::PURGE_WOULD_REMOVE_ENTIRE_FILESET, error.to_string())
        }
        PurgeError::Run(error) => Failure::from(error),
    })?;
    print(invocation, &report)?;
    let files: u64 = report
        .snapshots
        .iter()
        .map(|snapshot| snapshot.removed.files)
        .sum();
    let bytes: u64 = report
        .snapshots
        .iter()
        .map(|snapshot| snapshot.removed.bytes)
        .sum();
    CommandResult::new(invocation)
        .with_all(json!({
            "RewrittenFileLists": report.snapshots.len(),
            "RemovedFileCount": files,
            "RemovedFileSize": bytes,
            "Dryrun": report.dry_run,
        }))
        .finish(
            invocation,
            Some(&connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}

fn print(invocation: &Invocation, report: &PurgeReport) -> Outcome<()> {
    let console = &invocation.console;
    let max = if invocation.options.bool("full-result") {
        usize::MAX
    } else {
        SHOWN_MAX
    };
    let verb = if report.dry_run { "Would take" } else { "Took" };
    for path in report.removed_paths.iter().take(max) {
        console.row(format!("  {}", text::display_path(&path.0)))?;
        console.json(&json!({"type": "purged-file", "path": path, "dry_run": report.dry_run}))?;
    }
    for snapshot in &report.snapshots {
        let removed = &snapshot.removed;
        console.row(format!(
            "{verb} {} ({}) out of the version of {}",
            text::count(removed.files, "file", "files"),
            text::size(removed.bytes),
            text::iso_time(&snapshot.time)
        ))?;
        if removed.unreadable > 0 {
            console.row(format!(
                "  {} cannot be read; the files in them are not in the new version",
                text::count(removed.unreadable, "piece of a folder", "pieces of folders")
            ))?;
        }
        console.json(&json!({
            "type": "purged-version", "old": snapshot.old.to_string(), "new": snapshot.new.map(|id| id.to_string()),
            "time": snapshot.time, "removed": removed, "dry_run": report.dry_run,
        }))?;
    }
    if report.snapshots.is_empty() {
        console.line("Nothing matched, so no version was changed")?;
    }
    console.flush()?;
    Ok(())
}
