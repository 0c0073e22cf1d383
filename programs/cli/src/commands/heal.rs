// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `repair --heal-from`: fetches what a destination has lost from a second one.

use std::{ffi::OsStr, sync::Arc};

use duplicati_actors::{
    events::Monitor,
    heal::{HealOptions, HealReport, run_heal},
};
use duplicati_programs_common::{ExitCode, error_id::ids};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    backup_options::{host_name, program},
    test::SHOWN_MAX,
};
use crate::{
    connection::{Connection, Target},
    failure::{Outcome, failed},
    invocation::Invocation,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::CommandResult,
};

/// Heals, and opens what was healed.
pub async fn heal(
    invocation: &Invocation,
    second: &SecretString,
    monitor: &Monitor,
) -> Outcome<(Connection, HealReport)> {
    let options = HealOptions {
        dry_run: invocation.is_dry_run(),
        read_everything: invocation.options.string("full-remote-verification") == Some("True"),
        bring_back_versions: invocation.options.bool("heal-versions"),
        host: host_name(&invocation.options),
        program: program(),
    };
    let first = Target::of(invocation)?;
    let second = Target::named(
        invocation,
        OsStr::new(second.expose_secret()),
        &invocation.options,
    )?;
    if first.is_same_place(&second) {
        return Err(failed(
            ids::INVALID_DESTINATION,
            "--heal-from names the destination itself; name another copy of the backup",
        ));
    }
    let second_location = second.store.location();
    // The second opens the first: config and key files there may be what is lost.
    let helper = second.open_to_read(invocation).await?;
    let own_id = helper.repository.config.repository_id.to_string();
    if let Some(pin) = first.pin(invocation)?
        && pin.repository_id != own_id
    {
        return Err(failed(
            ids::INVALID_DESTINATION,
            format!(
                "{} holds repository {own_id}, and {} has held repository {}; only a copy of the same backup can heal it, so nothing was changed",
                second_location,
                first.store.location(),
                pin.repository_id
            ),
        ));
    }
    let repository = Arc::new(helper.repository.at(Arc::clone(&first.store)));
    let store = Arc::clone(&first.store);
    let connection = first.connect(invocation, repository, helper.unlock.clone(), false)?;
    let mut local = connection.local()?;
    let display = ProgressDisplay::start(&invocation.console, monitor, Work::Maintenance);
    let outcome = run_heal(
        store,
        helper.leader(),
        Some(&mut local),
        options,
        Arc::clone(&invocation.clock),
        monitor.clone(),
        invocation.control.clone(),
    )
    .await;
    drop(display);
    let report = outcome?;
    print(invocation, &report)?;
    Ok((connection, report))
}

/// The end of a repair that goes no further.
pub fn finish(
    invocation: &Invocation,
    connection: &Connection,
    report: &HealReport,
    monitor: &Monitor,
) -> Outcome<ExitCode> {
    CommandResult::new(invocation)
        .with_all(values(report))
        .with("Dryrun", invocation.is_dry_run())
        .errors(!report.failures.is_empty())
        .finish(
            invocation,
            Some(connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}

/// The keys of the result.
pub fn values(report: &HealReport) -> Value {
    json!({
        "BroughtBackFileCount": report.brought_back.len(),
        "ReplacedFileCount": report.replaced.len(),
        "HealedFileSize": report.healed_bytes,
        "NotHealedFileCount": report.failures.len(),
        "NotHealed": report.failures,
    })
}

fn print(invocation: &Invocation, report: &HealReport) -> Outcome<()> {
    let console = &invocation.console;
    let shown_max = if invocation.options.bool("full-result") {
        usize::MAX
    } else {
        SHOWN_MAX
    };
    for (action, names) in [
        ("brought back", &report.brought_back),
        ("replaced", &report.replaced),
    ] {
        for (number, name) in names.iter().enumerate() {
            if number < shown_max {
                console.row(format!("  {action}: {name}"))?;
            }
            console.json(&json!({"type": "object", "action": action, "name": name}))?;
        }
    }
    for failure in report.failures.iter().take(shown_max) {
        console.row(format!("  not healed: {}: {}", failure.object, failure.text))?;
    }
    let verb = if invocation.is_dry_run() {
        "Would heal"
    } else {
        "Healed"
    };
    console.line(format!(
        "{verb} {} ({}) from the second destination; not healed: {}",
        text::count(
            (report.brought_back.len() + report.replaced.len()) as u64,
            "stored file",
            "stored files"
        ),
        text::size(report.healed_bytes),
        report.failures.len()
    ))?;
    if report.versions_elsewhere > 0 {
        console.line(format!(
            "{} only at the second destination; --heal-versions brings them back",
            text::count(report.versions_elsewhere, "version is", "versions are")
        ))?;
    }
    if !report.failures.is_empty() {
        console.line(
            "The way out for the rest: another copy, by --heal-from; or repair without it, which saves what still opens, then back up again",
        )?;
    }
    Ok(())
}
