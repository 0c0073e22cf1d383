// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists the files that cannot be restored because stored content is gone. Taking them out of versions is [`crate::purge`].

use std::sync::Arc;

use duplicati_engine::{
    id::SnapshotId,
    index::local::LocalState,
    repository::{FrameReader, Repository, RepositoryError},
    storage::ObjectName,
};
use serde::Serialize;

use crate::{
    control::RunControl,
    error::RunError,
    inventory::{Inventory, is_not_found},
    verify::{LISTED_MAX, LostFile, find_lost_files, is_out_of_reach},
};

/// Opened tree frames kept, bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// Which versions, and how much to say.
#[derive(Debug, Clone, Default)]
pub struct BrokenOptions {
    /// The versions; all when none is named.
    pub snapshots: Vec<SnapshotId>,
    /// Name every file.
    pub full: bool,
}

/// What cannot be restored.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BrokenReport {
    /// Files and folders, up to a limit unless all were asked for.
    pub files: Vec<LostFile>,
    /// How many there are.
    pub file_count: u64,
    /// Versions with at least one, oldest first, and their number of them.
    pub snapshots: Vec<(SnapshotId, u64)>,
    /// Manifests that cannot be read, with the reason: those versions are lost whole.
    pub unreadable_snapshots: Vec<String>,
}

/// Looks for files whose chunks no pack at the target holds. Content is not read; `test` does that.
///
/// # Errors
/// When the target does not answer, or with a write-only key.
pub async fn run_list_broken(
    repository: Arc<Repository>,
    local: Option<&mut LocalState>,
    options: BrokenOptions,
    control: RunControl,
) -> Result<BrokenReport, RunError> {
    if !repository.data.can_open() {
        let operation = "listing broken files";
        return Err(RepositoryError::WriteOnlyKey { operation }.into());
    }
    let mut inventory = Inventory::take(&repository, local).await?;
    let index = Arc::new(std::mem::take(&mut inventory.index));
    let frames = Arc::new(FrameReader::new(
        Arc::clone(&repository),
        Arc::clone(&index),
        CACHE_BYTES,
    ));
    let mut report = BrokenReport {
        unreadable_snapshots: inventory
            .snapshots
            .unreadable
            .iter()
            .filter(|(_, error)| !is_not_found(error))
            .map(|(id, error)| format!("{}: {error}", ObjectName::from(*id)))
            .collect(),
        ..BrokenReport::default()
    };
    let snapshots = std::mem::take(&mut inventory.snapshots.snapshots);
    let chosen: Vec<_> = snapshots
        .into_iter()
        .filter(|(id, _)| options.snapshots.is_empty() || options.snapshots.contains(id))
        .collect();
    let is_lost = |id: &duplicati_engine::id::ChunkId| is_out_of_reach(&index, &inventory, id);
    find_lost_files(frames, &chosen, &is_lost, &control, |file| {
        match report.snapshots.last_mut() {
            Some((id, count)) if *id == file.snapshot => *count += 1,
            _ => report.snapshots.push((file.snapshot, 1)),
        }
        report.file_count += 1;
        if options.full || report.files.len() < LISTED_MAX {
            report.files.push(file);
        }
    })
    .await?;
    Ok(report)
}
