// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores new packs, and then new segments that describe them together with the packs that stay.
//!
//! In: `PackToStore` from the repacker, `Description` from the planner. A pack is described only after it is stored (S-1).

use std::sync::Arc;

use duplicati_engine::{
    compaction::encode_index_segment, crypto::secret::random_id, id::SegmentId, repository::Repository,
    storage::ObjectName,
};

use super::{
    planner::Description,
    repacker::PackToStore,
    wiring::{SharedMoved, note},
};
use crate::{
    error::RunError,
    events::{Monitor, Progress},
    inlet::{Inlet, Outlet},
};

/// Name of the stage that stores packs.
pub const UPLOADER_NAME: &str = "uploader";
/// Name of the stage that stores segments.
pub const NAME: &str = "swapper";
/// Descriptions in one segment, bytes: about 200,000 chunks.
const SEGMENT_BYTES: usize = 8 << 20;

/// What an uploader works with.
pub struct Uploader {
    /// Where packs go.
    pub repository: Arc<Repository>,
    /// Packs to store.
    pub packs: Outlet<PackToStore>,
    /// The next stage.
    pub swapper: Inlet<Description>,
    /// The result.
    pub moved: SharedMoved,
    /// Counters.
    pub monitor: Monitor,
}

impl Uploader {
    /// Works until the stream ends.
    pub async fn run(self) -> Result<(), RunError> {
        while let Some(PackToStore(pack)) = self.packs.receive().await? {
            let size = pack.object.len() as u64;
            let name = ObjectName::from(pack.description.id);
            self.repository.store.put(&name, pack.object).await?;
            Progress::add(&self.monitor.progress.stored_objects, 1);
            Progress::add(&self.monitor.progress.stored_bytes, size);
            note(&self.moved, |moved| {
                moved.packs += 1;
                moved.bytes += size;
            });
            let mut encoded = Vec::new();
            pack.description.encode(&mut encoded);
            self.swapper.send(Description(encoded)).await?;
        }
        Ok(())
    }
}

/// What the swapper works with.
pub struct Swapper {
    /// Where segments go.
    pub repository: Arc<Repository>,
    /// Packs to describe.
    pub descriptions: Outlet<Description>,
    /// The result.
    pub moved: SharedMoved,
    /// Counters.
    pub monitor: Monitor,
}

impl Swapper {
    /// Works until the stream ends, then writes the last segment.
    pub async fn run(self) -> Result<(), RunError> {
        let mut pending = Vec::new();
        let mut bytes = 0;
        while let Some(Description(encoded)) = self.descriptions.receive().await? {
            bytes += encoded.len();
            pending.push(encoded);
            if bytes >= SEGMENT_BYTES {
                self.flush(&mut pending).await?;
                bytes = 0;
            }
        }
        self.flush(&mut pending).await
    }

    async fn flush(&self, pending: &mut Vec<Vec<u8>>) -> Result<(), RunError> {
        if pending.is_empty() {
            return Ok(());
        }
        let size = put_segment(&self.repository, pending).await?;
        pending.clear();
        Progress::add(&self.monitor.progress.stored_objects, 1);
        Progress::add(&self.monitor.progress.stored_bytes, size);
        note(&self.moved, |moved| moved.segments += 1);
        Ok(())
    }
}

/// Stores one segment; returns its size in bytes.
pub async fn put_segment(repository: &Repository, packs: &[Vec<u8>]) -> Result<u64, RunError> {
    let (object, _) = encode_index_segment(repository, packs)?;
    let size = object.len() as u64;
    let id = SegmentId(random_id()?);
    repository.store.put(&ObjectName::from(id), object).await?;
    Ok(size)
}
