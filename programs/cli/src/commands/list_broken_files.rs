// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `list-broken-files`: files that cannot be restored, because stored data is gone.

use std::sync::Arc;

use duplicati_actors::verify::{CheckOptions, run_check};
use duplicati_programs_common::ExitCode;

use super::test::{print_damage, way_out};
use crate::{
    connection::Target,
    failure::Outcome,
    invocation::Invocation,
    output::progress::{ProgressDisplay, Work},
    results::CommandResult,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let monitor = invocation.monitor();
    let mut local = connection.local_to_read(invocation)?;
    let display = ProgressDisplay::start(&invocation.console, &monitor, Work::Maintenance);
    let outcome = run_check(
        Arc::clone(&connection.repository),
        local.as_mut(),
        CheckOptions {
            full: invocation.options.bool("full-result"),
        },
        Arc::clone(&invocation.clock),
        monitor.clone(),
        invocation.control.clone(),
    )
    .await;
    drop(display);
    let report = outcome?;
    print_damage(invocation, &report)?;
    if !report.is_clean() {
        invocation.console.line(way_out(&connection))?;
    }
    CommandResult::new(invocation)
        .with("BrokenFileCount", report.lost_file_count)
        .errors(!report.is_clean())
        .finish(
            invocation,
            Some(&connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}
