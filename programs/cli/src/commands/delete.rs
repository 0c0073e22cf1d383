// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `delete`: removes versions. Their space comes back with the next compaction.

use std::sync::Arc;

use duplicati_actors::{
    events::ProgressSnapshot,
    give_up::{GiveUpOptions, run_give_up},
};
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::{Value, json};

use crate::{
    connection::{Connection, Target},
    failure::{Outcome, failed, wrong_arguments},
    invocation::Invocation,
    results::CommandResult,
    retention,
    versions::{self, Version},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let policy = retention::policy(&invocation.options)?;
    let connection = Target::of(invocation)?.open_to_write(invocation).await?;
    if invocation.options.is_given("give-up") {
        return give_up(invocation, &connection).await;
    }
    let all = versions::list(invocation, &connection.repository).await?;
    if all.is_empty() {
        return Err(failed(
            ids::NO_FILESETS_FOUND,
            "there is no version at the destination, so there is nothing to delete",
        ));
    }
    let wanted = invocation.options.versions("version");
    if let Some(wanted) = wanted
        && !all.iter().any(|version| wanted.contains(version.number))
    {
        return Err(failed(
            ids::NO_FILESET_FOUND_FOR_TIME_OR_VERSION,
            format!(
                "none of the chosen versions exists, so nothing was deleted; the versions are 0 (newest) to {} (oldest)",
                all.len() - 1
            ),
        ));
    }
    let mut removed: Vec<Version> = all
        .iter()
        .filter(|version| wanted.is_some_and(|wanted| wanted.contains(version.number)))
        .cloned()
        .collect();
    if let Some(policy) = policy {
        let known: Vec<u32> = removed.iter().map(|version| version.number).collect();
        let by_policy = retention::removed(invocation, &all, &policy);
        removed.extend(
            by_policy
                .into_iter()
                .filter(|version| !known.contains(&version.number)),
        );
        removed.sort_by_key(|version| version.number);
    }
    let removed = retention::spare_last(invocation, removed, &all);
    let removed = retention::remove(invocation, &connection.repository, removed, &invocation.control).await?;
    if removed.is_empty() {
        invocation
            .console
            .line("No version matched, so nothing was deleted")?;
    }
    CommandResult::new(invocation)
        .with_all(deleted_values(&removed, invocation.is_dry_run()))
        .finish(
            invocation,
            Some(&connection),
            &ProgressSnapshot::default(),
            ExitCode::Success,
        )
}

/// Removes versions that cannot be read, each by its name.
async fn give_up(invocation: &Invocation, connection: &Connection) -> Outcome<ExitCode> {
    for other in ["version", "keep-time", "keep-versions", "retention-policy"] {
        if invocation.options.is_given(other) {
            return Err(wrong_arguments(format!(
                "--give-up stands alone; leave out --{other}"
            )));
        }
    }
    let mut snapshots = Vec::new();
    for text in invocation.options.list("give-up") {
        let name = text.strip_prefix("snapshots/").unwrap_or(text);
        snapshots.push(name.parse().map_err(|_| {
            wrong_arguments(format!(
                "--give-up={text:?} is not the name of a version: 32 lower-case hexadecimal digits, as list-broken-files shows them"
            ))
        })?);
    }
    if snapshots.is_empty() {
        return Err(wrong_arguments(
            "--give-up names no version; list-broken-files shows those that cannot be read",
        ));
    }
    let options = GiveUpOptions {
        snapshots,
        dry_run: invocation.is_dry_run(),
    };
    let report = run_give_up(
        Arc::clone(&connection.repository),
        options,
        invocation.monitor(),
        invocation.control.clone(),
    )
    .await?;
    if let Some(id) = report.absent.first() {
        return Err(failed(
            ids::NO_FILESET_FOUND_FOR_TIME_OR_VERSION,
            format!(
                "there is no version {id} at the destination; {} of the others were given up",
                report.given_up.len()
            ),
        ));
    }
    let verb = if invocation.is_dry_run() {
        "Would give up"
    } else {
        "Gave up"
    };
    for (id, why) in &report.given_up {
        invocation.console.row(format!("{verb} version {id}: {why}"))?;
        invocation.console.json(&json!({
            "type": "version-given-up", "id": id.to_string(), "reason": why, "dry_run": invocation.is_dry_run(),
        }))?;
    }
    CommandResult::new(invocation)
        .with("GivenUpVersions", report.given_up.len())
        .with("Dryrun", invocation.is_dry_run())
        .finish(
            invocation,
            Some(connection),
            &ProgressSnapshot::default(),
            ExitCode::Success,
        )
}

/// The keys of a result that removed versions.
pub fn deleted_values(removed: &[Version], is_dry_run: bool) -> Value {
    const LISTED_MAX: usize = 20;
    let sets: Vec<Value> = removed
        .iter()
        .take(LISTED_MAX)
        .map(|version| json!({"Item1": version.number, "Item2": version.manifest.time}))
        .collect();
    json!({"DeletedSetsActualLength": removed.len(), "DeletedSets": sets, "Dryrun": is_dry_run})
}
