// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which snapshots and files need given packs.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    id::{PackId, SnapshotId},
    index::local::LocalState,
    repository::{FrameReader, Repository},
};
use serde::Serialize;

use crate::{
    control::RunControl,
    error::RunError,
    inventory::Inventory,
    verify::{LISTED_MAX, LostFile, find_lost_files},
};

/// Opened tree frames kept, bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// What depends on the packs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AffectedReport {
    /// Snapshots.
    pub snapshots: Vec<SnapshotId>,
    /// Files and folders, up to a limit unless all were asked for.
    pub files: Vec<LostFile>,
    /// How many there are.
    pub file_count: u64,
}

/// Finds what needs the packs.
///
/// # Errors
/// When the target does not answer.
pub async fn run_affected(
    repository: Arc<Repository>,
    local: Option<&mut LocalState>,
    packs: HashSet<PackId>,
    full: bool,
    control: RunControl,
) -> Result<AffectedReport, RunError> {
    let mut inventory = Inventory::take(&repository, local).await?;
    let index = Arc::new(std::mem::take(&mut inventory.index));
    let frames = Arc::new(FrameReader::new(
        Arc::clone(&repository),
        Arc::clone(&index),
        CACHE_BYTES,
    ));
    let mut report = AffectedReport::default();
    let needs = |id: &duplicati_engine::id::ChunkId| {
        index
            .find(id)
            .is_some_and(|place| packs.contains(&index.frame(place.frame).pack))
    };
    find_lost_files(frames, &inventory.snapshots.snapshots, &needs, &control, |file| {
        if report.snapshots.last() != Some(&file.snapshot) {
            report.snapshots.push(file.snapshot);
        }
        report.file_count += 1;
        if full || report.files.len() < LISTED_MAX {
            report.files.push(file);
        }
    })
    .await?;
    Ok(report)
}
