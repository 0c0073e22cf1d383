// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `affected`: which versions and files need the named stored files.

use std::{collections::HashSet, sync::Arc};

use duplicati_actors::affected::run_affected;
use duplicati_engine::id::{PackId, parse_hex};
use duplicati_programs_common::ExitCode;
use serde_json::json;

use super::test::SHOWN_MAX;
use crate::{
    connection::Target,
    failure::{Outcome, wrong_arguments},
    invocation::Invocation,
    output::text,
    results::CommandResult,
    versions,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let full = invocation.options.bool("full-result");
    let packs = packs(invocation)?;
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    let mut local = connection.local_to_read(invocation)?;
    let report = run_affected(
        Arc::clone(&connection.repository),
        local.as_mut(),
        packs,
        full,
        invocation.control.clone(),
    )
    .await?;
    let console = &invocation.console;
    let max = if full { usize::MAX } else { SHOWN_MAX };
    for version in all
        .iter()
        .filter(|version| report.snapshots.contains(&version.id))
    {
        console.row(version.row())?;
        console.json(&version.line())?;
    }
    for file in report.files.iter().take(max) {
        let path = text::display_path(&file.path.0);
        console.row(format!(
            "  /{path} in the version of {}",
            text::iso_time(&file.time)
        ))?;
        console.json(&json!({
            "type": "affected-file", "time": file.time, "snapshot": file.snapshot.to_string(),
            "path": file.path, "is_folder": file.is_folder,
        }))?;
    }
    console.line(format!(
        "{} in {} need the named stored files",
        text::count(report.file_count, "file", "files"),
        text::count(report.snapshots.len() as u64, "version", "versions")
    ))?;
    CommandResult::new(invocation)
        .with("AffectedFileCount", report.file_count)
        .with("AffectedVersionCount", report.snapshots.len())
        .finish(
            invocation,
            Some(&connection),
            &duplicati_actors::events::ProgressSnapshot::default(),
            ExitCode::Success,
        )
}

/// The packs that the arguments name: with folders in front or without.
fn packs(invocation: &Invocation) -> Outcome<HashSet<PackId>> {
    let mut packs = HashSet::new();
    for argument in invocation.arguments_from(1) {
        let id = argument
            .to_str()
            .and_then(|path| path.rsplit('/').next())
            .and_then(|name| parse_hex::<16>(name).ok())
            .ok_or_else(|| {
                wrong_arguments(format!(
                    "{} is not the name of a stored data file; it ends with 32 hexadecimal digits",
                    argument.to_string_lossy()
                ))
            })?;
        packs.insert(PackId(id));
    }
    Ok(packs)
}
