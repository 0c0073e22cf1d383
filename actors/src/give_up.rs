// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gives up snapshots whose manifests cannot be read, each by its name and only when asked for.
//!
//! As long as such a manifest is there nothing may be collected: it may need anything (S-7). Giving it up removes the object and puts a fence under the name:
//! what could not be read may have been a fence, and then somebody may still sleep behind it (S-3).

use std::sync::Arc;

use duplicati_engine::{
    clock::Timestamp,
    format::manifest::SnapshotObject,
    id::{PlanId, SnapshotId},
    repository::{Repository, RepositoryError},
    storage::{ObjectName, StoreErrorKind},
};
use serde::Serialize;

use crate::{
    compact::sessions::{put_fence, put_session, session_name},
    control::RunControl,
    error::RunError,
    events::{Monitor, Severity},
    inventory::is_not_found,
};

/// Which snapshots are given up.
#[derive(Debug, Clone, Default)]
pub struct GiveUpOptions {
    /// Their names.
    pub snapshots: Vec<SnapshotId>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was given up.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GiveUpReport {
    /// Given up, or to be given up in a dry run, with what was wrong.
    pub given_up: Vec<(SnapshotId, String)>,
    /// Not there.
    pub absent: Vec<SnapshotId>,
}

/// Gives snapshots up. All are looked at before the first one goes.
///
/// # Errors
/// When one of them can be read or was written by a newer program: then none is given up. With a write-only key, or when the target fails.
pub async fn run_give_up(
    repository: Arc<Repository>,
    options: GiveUpOptions,
    monitor: Monitor,
    control: RunControl,
) -> Result<GiveUpReport, RunError> {
    if !repository.data.can_open() {
        // To this key every manifest looks unreadable.
        let operation = "giving up a version";
        return Err(RepositoryError::WriteOnlyKey { operation }.into());
    }
    let mut report = GiveUpReport::default();
    for id in options.snapshots {
        let refuse = |why: &str| Err(RunError::Refused(format!("{}: {why}", ObjectName::from(id))));
        match repository.get_snapshot(id).await {
            Ok(SnapshotObject::Manifest(manifest)) => {
                let time = &manifest.time;
                return refuse(&format!(
                    "this version of {time} can be read, so it is not given up; choose it by --version or --time to delete it"
                ));
            }
            Ok(SnapshotObject::Fence(_)) => {
                return refuse(
                    "this is no version but the mark of a run that was ended; it costs nothing and stays",
                );
            }
            Err(error) if error.is_newer() => {
                return refuse("a newer program wrote it; it is not damaged, use that program");
            }
            Err(error) if is_not_found(&error) => report.absent.push(id),
            Err(error) if error.is_damage() => report.given_up.push((id, error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    if options.dry_run {
        return Ok(report);
    }
    for (id, _) in &report.given_up {
        control.check()?;
        // Should this run be cut off before the fence stands, the session makes every collector put one first (S-3).
        let is_new = open_session(&repository, *id).await?;
        repository.store.delete(&ObjectName::from(*id)).await?;
        put_fence(&repository, *id, PlanId([0; 16])).await?;
        if is_new {
            repository.store.delete(&session_name(*id)).await?;
        }
        monitor.tell(
            Severity::Information,
            "VersionGivenUp",
            id.to_string().as_bytes(),
            "its manifest was removed",
        );
    }
    Ok(report)
}

/// Puts a session under the name, as old as can be. Returns false when there is one.
async fn open_session(repository: &Repository, id: SnapshotId) -> Result<bool, RunError> {
    let long_ago = Timestamp {
        seconds: 0,
        nanoseconds: 0,
    };
    match put_session(repository, id, "", "give-up", "", long_ago).await {
        Ok(()) => Ok(true),
        Err(RunError::Repository(error)) if error.store_kind() == Some(StoreErrorKind::AlreadyExists) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
