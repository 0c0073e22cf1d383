// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `repair`: brings index and local database into agreement with what is stored. Nothing that can be restored gets less (S-7).

use std::sync::Arc;

use duplicati_actors::repair::{RepairOptions, run_repair};
use duplicati_programs_common::ExitCode;
use serde_json::json;

use super::{
    backup_options::{host_name, program},
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
        ..RepairOptions::default()
    };
    let connection = Target::of(invocation)?.open_to_write(invocation).await?;
    let monitor = invocation.monitor();
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
        "Described again: {}; missing: {}; unreadable: {}",
        count(report.described_packs.len()),
        count(report.missing_packs.len()),
        count(report.unreadable_packs.len())
    ))?;
    print_damage(invocation, &report.remaining)?;
    CommandResult::new(invocation)
        .with_all(json!({
            "DescribedPacks": report.described_packs.len(),
            "MissingPacks": report.missing_packs.len(),
            "UnreadablePacks": report.unreadable_packs.len(),
            "RemovedSegments": report.removed_segments.len(),
            "LostFileCount": report.remaining.lost_file_count,
            "Dryrun": invocation.is_dry_run(),
        }))
        .errors(!report.remaining.is_clean())
        .finish(
            invocation,
            Some(&connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}
