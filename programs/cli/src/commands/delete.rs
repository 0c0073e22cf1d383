// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `delete`: removes versions. Their space comes back with the next compaction.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::{Value, json};

use crate::{
    connection::Target,
    failure::{Outcome, failed},
    invocation::Invocation,
    results::CommandResult,
    retention,
    versions::{self, Version},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let policy = retention::policy(&invocation.options)?;
    let connection = Target::of(invocation)?.open_to_write(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    if all.is_empty() {
        return Err(failed(
            ids::NO_FILESETS_FOUND,
            "there is no version at the destination, so there is nothing to delete",
        ));
    }
    let wanted = invocation.options.versions("version");
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
