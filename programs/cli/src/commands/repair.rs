// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `repair`: brings index and local database into agreement with what is stored. Nothing that can be restored gets less (S-7).

use std::sync::Arc;

use duplicati_actors::repair::{RepairOptions, run_repair};
use duplicati_engine::storage::ObjectName;
use duplicati_programs_common::ExitCode;
use serde_json::json;

use super::{
    backup_options::{host_name, program},
    heal,
    test::print_damage,
};
use crate::{
    connection::Target,
    failure::Outcome,
    invocation::Invocation,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::CommandResult,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let options = RepairOptions {
        dry_run: invocation.is_dry_run(),
        exclusive: invocation.options.bool("exclusive"),
        host: host_name(&invocation.options),
        program: program(),
        full: invocation.options.bool("full-result"),
        read_everything: invocation.options.string("full-remote-verification") == Some("True"),
    };
    let monitor = invocation.monitor();
    let (connection, healed) = match invocation.options.secret("heal-from") {
        Some(second) => {
            let (connection, healed) = heal::heal(invocation, second, &monitor).await?;
            // A repair would put salvaged pieces in the place of what another copy may still have.
            if !healed.failures.is_empty() || invocation.is_dry_run() {
                return heal::finish(invocation, &connection, &healed, &monitor);
            }
            (connection, Some(healed))
        }
        None => (Target::of(invocation)?.open_to_write(invocation).await?, None),
    };
    let mut local = connection.local()?;
    let display = ProgressDisplay::start(&invocation.console, &monitor, Work::Maintenance);
    let outcome = run_repair(
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
    let count = |number: usize| text::count(number as u64, "data file", "data files");
    invocation.console.row(format!(
        "Described again: {}; missing: {}; damaged: {}; unreadable: {}",
        count(report.described_packs.len()),
        count(report.missing_packs.len()),
        count(report.damaged_packs.len()),
        count(report.unreadable_packs.len())
    ))?;
    for pack in &report.damaged_packs {
        invocation
            .console
            .row(format!("  damaged: {}: {}", ObjectName::from(pack.id), pack.why))?;
    }
    if !report.damaged_packs.is_empty() {
        invocation.console.line(format!(
            "Saved {} out of damaged data files; what they have lost is stored again by the next backup, as far as the sources have it",
            text::count(report.salvaged_chunks, "piece", "pieces")
        ))?;
    }
    print_damage(invocation, &report.remaining)?;
    if !report.remaining.is_clean() {
        invocation.console.line(
            "The way out: a second destination, if there is one, by --heal-from; or back up again, as sources that still have the lost data heal all versions; after that, purge-broken-files takes out what stays lost",
        )?;
    }
    CommandResult::new(invocation)
        .with_all(json!({
            "DescribedPacks": report.described_packs.len(),
            "MissingPacks": report.missing_packs.len(),
            "DamagedPacks": report.damaged_packs.len(),
            "SalvagedChunks": report.salvaged_chunks,
            "UnreadablePacks": report.unreadable_packs.len(),
            "RemovedSegments": report.removed_segments.len(),
            "LostFileCount": report.remaining.lost_file_count,
            "Dryrun": invocation.is_dry_run(),
        }))
        .with_all(healed.as_ref().map_or(json!({}), heal::values))
        .errors(!report.remaining.is_clean())
        .finish(
            invocation,
            Some(&connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}
