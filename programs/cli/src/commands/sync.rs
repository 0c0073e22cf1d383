// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `sync`: makes a second destination follow the first.

use std::sync::Arc;

use duplicati_actors::{
    events::Monitor,
    follow::{FollowOptions, FollowReport, Recheck, run_follow},
};
use duplicati_programs_common::ExitCode;
use serde_json::{Value, json};

use super::test::SHOWN_MAX;
use crate::{
    connection::{Connection, Target, same_place},
    failure::Outcome,
    invocation::Invocation,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::CommandResult,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let options = &invocation.options;
    let recheck = if options.bool("sync-verify-hash") {
        Recheck::Compare
    } else if options.bool("sync-recheck") {
        Recheck::Open
    } else {
        Recheck::Names
    };
    let settings = FollowOptions {
        dry_run: invocation.is_dry_run(),
        remove: options.bool("sync-then-delete"),
        recheck,
        read_back: options.bool("sync-verify-hash"),
    };
    let (first, second) = (Target::of(invocation)?, Target::at(invocation, 1)?);
    if first.is_same_place(&second) {
        return Err(same_place());
    }
    let here = first.place();
    let connection = first.open_to_read(invocation).await?;
    if !settings.dry_run {
        let makes_folder = !options.bool("disable-autocreate-folder");
        second
            .make_ready_for_copy(&here, invocation, makes_folder)
            .await?;
    }
    let monitor = invocation.monitor();
    let report = follow(invocation, &connection, &second, settings, &monitor).await?;
    print(invocation, &report)?;
    let has_failed = !report.failures.is_empty();
    CommandResult::new(invocation)
        .with_all(values(&report, invocation.is_dry_run()))
        .errors(has_failed)
        .finish(
            invocation,
            Some(&connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}

/// Makes a destination that is ready follow the one of an open connection.
pub async fn follow(
    invocation: &Invocation,
    connection: &Connection,
    second: &Target,
    settings: FollowOptions,
    monitor: &Monitor,
) -> Outcome<FollowReport> {
    let mut local = connection.local()?;
    let display = ProgressDisplay::start(&invocation.console, monitor, Work::Maintenance);
    let outcome = run_follow(
        connection.leader(),
        Arc::clone(&second.store),
        Some(&mut local),
        settings,
        Arc::clone(&invocation.clock),
        monitor.clone(),
        invocation.control.clone(),
    )
    .await;
    drop(display);
    let report = outcome?;
    for reason in &report.kept_because {
        invocation.log.warning(
            "NothingRemoved",
            &format!("Stays at {}: {reason}", second.store.location()),
        );
    }
    for name in &report.foreign {
        invocation.log.information(
            "ForeignFile",
            &format!(
                "{name} at {} is not ours and is left alone",
                second.store.location()
            ),
        );
    }
    Ok(report)
}

/// The keys of the result.
pub fn values(report: &FollowReport, is_dry_run: bool) -> Value {
    json!({
        "CopiedFileCount": report.copied.len(),
        "CopiedFileSize": report.copied_bytes,
        "ReplacedFileCount": report.replaced.len(),
        "RemovedFileCount": report.removed.len(),
        "UnchangedFileCount": report.same,
        "ExtraFileCount": report.extra,
        "UncheckedFileCount": report.unproven,
        "FailedFileCount": report.failures.len(),
        "Failures": report.failures,
        "KeptBecause": report.kept_because,
        "Dryrun": is_dry_run,
    })
}

fn print(invocation: &Invocation, report: &FollowReport) -> Outcome<()> {
    let console = &invocation.console;
    let shown_max = if invocation.options.bool("full-result") {
        usize::MAX
    } else {
        SHOWN_MAX
    };
    let groups = [
        ("copy", &report.copied),
        ("replace", &report.replaced),
        ("remove", &report.removed),
    ];
    for (action, names) in groups {
        for (number, name) in names.iter().enumerate() {
            if invocation.is_dry_run() && number < shown_max {
                console.row(format!("  {action} {name}"))?;
            }
            console.json(&json!({"type": "object", "action": action, "name": name}))?;
        }
        if invocation.is_dry_run() && names.len() > shown_max {
            console.row(format!(
                "  {action} {} more; --full-result shows all",
                names.len() - shown_max
            ))?;
        }
    }
    for failure in report.failures.iter().take(shown_max) {
        console.row(format!("  not copied: {}: {}", failure.object, failure.text))?;
    }
    let files = |count: usize| text::count(count as u64, "stored file", "stored files");
    let verb = if invocation.is_dry_run() {
        "Would copy"
    } else {
        "Copied"
    };
    console.line(format!(
        "{verb} {} ({}); replaced: {}, removed: {}, there already: {}",
        files(report.copied.len()),
        text::size(report.copied_bytes),
        report.replaced.len(),
        report.removed.len(),
        report.same
    ))?;
    if report.extra > 0 && report.kept_because.is_empty() {
        console.line(format!(
            "{} only at the second destination; --sync-then-delete removes what the first has let go",
            text::count(report.extra, "stored file is", "stored files are")
        ))?;
    }
    if !report.failures.is_empty() {
        console.line(format!(
            "{} not copied, nothing was removed. The way out: repair the first destination, with --heal-from if the second has what it lacks; then run this again",
            text::count(report.failures.len() as u64, "stored file was", "stored files were")
        ))?;
    }
    Ok(())
}
