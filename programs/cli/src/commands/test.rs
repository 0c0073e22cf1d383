// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `test`: reads samples of the stored files, or all, and says what is wrong with them.

use std::sync::Arc;

use duplicati_actors::verify::{VerifyOptions, VerifyReport, run_verify};
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::json;

use crate::{
    connection::{Connection, Target},
    failure::{Outcome, failed, wrong_arguments},
    invocation::Invocation,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::CommandResult,
};

/// Lines of damage that are shown unless all are asked for.
pub const SHOWN_MAX: usize = 10;

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let samples = samples(invocation)?;
    let full = invocation.options.bool("full-result");
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let monitor = invocation.monitor();
    let mut local = connection.local()?;
    let display = ProgressDisplay::start(&invocation.console, &monitor, Work::Maintenance);
    let outcome = run_verify(
        Arc::clone(&connection.repository),
        Some(&mut local),
        VerifyOptions { samples, full },
        Arc::clone(&invocation.clock),
        monitor.clone(),
        invocation.control.clone(),
    )
    .await;
    drop(display);
    let report = outcome?;
    if report.snapshots == 0 && report.is_clean() {
        return Err(failed(
            ids::NO_FILESETS_FOUND,
            "there is no version at the destination, so there is nothing to test",
        ));
    }
    invocation.console.row(format!(
        "Examined {}, {} and {}",
        text::count(report.snapshots, "version", "versions"),
        text::count(report.segments, "index file", "index files"),
        text::count(report.packs, "data file", "data files")
    ))?;
    print_damage(invocation, &report)?;
    if !report.is_clean() {
        invocation.console.line(way_out(&connection))?;
    }
    let code = if report.is_clean() {
        ExitCode::Success
    } else {
        ExitCode::Errors
    };
    let shown: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            let entry = json!({"Key": format!("{:?}", finding.kind), "Value": finding.text});
            json!({"Key": finding.object, "Value": [entry]})
        })
        .collect();
    CommandResult::new(invocation)
        .with("VerificationsActualLength", shown.len())
        .with("Verifications", shown)
        .with("LostFileCount", report.lost_file_count)
        .errors(!report.is_clean())
        .finish(invocation, Some(&connection), &monitor.progress.snapshot(), code)
}

/// What to do about damage. Without a local database nobody remembers what was found, so `repair` has to look at everything.
pub fn way_out(connection: &Connection) -> &'static str {
    if connection.database.is_some() {
        "The way out: run repair, with --heal-from=<URL> if a second destination has what is damaged; without one it saves what still opens. Then back up again: what the sources still have heals all versions"
    } else {
        "The way out: run repair --full-remote-verification, with --heal-from=<URL> if a second destination has what is damaged; without one it saves what still opens. Then back up again: what the sources still have heals all versions"
    }
}

fn samples(invocation: &Invocation) -> Outcome<Option<usize>> {
    let Some(argument) = invocation.argument(1).map(|argument| argument.to_string_lossy()) else {
        return Ok(Some(1));
    };
    if ["all", "everything"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(&argument))
    {
        return Ok(None);
    }
    match argument.parse() {
        Ok(count) if count > 0 => Ok(Some(count)),
        _ => Err(wrong_arguments(format!(
            "{argument:?} is neither a number of samples nor the word all"
        ))),
    }
}

/// Prints what is damaged and which files that costs.
pub fn print_damage(invocation: &Invocation, report: &VerifyReport) -> Outcome<()> {
    let max = if invocation.options.bool("full-result") {
        usize::MAX
    } else {
        SHOWN_MAX
    };
    let console = &invocation.console;
    for finding in report.findings.iter().take(max) {
        console.row(format!(
            "  {:?}: {}: {}",
            finding.kind, finding.object, finding.text
        ))?;
    }
    for file in report.lost_files.iter().take(max) {
        let path = text::display_path(&file.path.0);
        console.row(format!(
            "  cannot be restored from the version of {}: /{path}",
            text::iso_time(&file.time)
        ))?;
        console.json(&json!({
            "type": "broken-file", "time": file.time, "snapshot": file.snapshot.to_string(),
            "path": file.path, "is_folder": file.is_folder,
        }))?;
    }
    let total = report.findings.len() as u64 + report.lost_file_count;
    if total == 0 {
        console.line("No damage was found")?;
    } else {
        console.line(format!(
            "Found {} and {} that cannot be restored; --full-result shows all",
            text::count(report.findings.len() as u64, "damaged object", "damaged objects"),
            text::count(report.lost_file_count, "file", "files")
        ))?;
    }
    Ok(())
}
