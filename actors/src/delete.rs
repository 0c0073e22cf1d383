// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Removes snapshots: their manifests and nothing else. What they alone needed is reclaimed by compaction.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    clock::Clock,
    id::SnapshotId,
    repository::Repository,
    storage::{ObjectKind, ObjectName},
};
use serde::Serialize;

use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Severity},
};

/// Which snapshots go.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Their names; retention has decided.
    pub snapshots: Vec<SnapshotId>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DeleteReport {
    /// Removed, or to be removed in a dry run.
    pub deleted: Vec<SnapshotId>,
    /// Not there.
    pub absent: Vec<SnapshotId>,
}

/// Deletes snapshots.
///
/// # Errors
/// When the target fails; what is deleted by then stays deleted, and running it again goes on.
pub async fn run_delete(
    repository: Arc<Repository>,
    options: DeleteOptions,
    _clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<DeleteReport, RunError> {
    let listing = repository.store.list(ObjectKind::Snapshot).await?;
    let present: HashSet<SnapshotId> = listing
        .objects
        .iter()
        .map(|info| SnapshotId(info.name.id()))
        .collect();
    let mut report = DeleteReport::default();
    for id in options.snapshots {
        control.check()?;
        if !present.contains(&id) {
            report.absent.push(id);
            continue;
        }
        if !options.dry_run {
            repository.store.delete(&ObjectName::from(id)).await?;
            let name = id.to_string();
            monitor.tell(
                Severity::Information,
                "SnapshotDeleted",
                name.as_bytes(),
                "snapshot deleted",
            );
        }
        report.deleted.push(id);
    }
    Ok(report)
}
