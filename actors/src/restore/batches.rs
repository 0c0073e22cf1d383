// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What moves between the stages of a restore.

use std::{ops::Deref, sync::Arc};

use duplicati_engine::{
    repository::{RepositoryError, frames::FetchedFrames},
    restore::{
        file::FileJob,
        plan::{ChunkUse, ReadBatch},
    },
};

use crate::{byte_budget::BytePermit, inlet::Weighed};

/// A file under way, with the memory that it takes until the last who has a piece of it lets go.
pub struct PlannedFile {
    job: FileJob,
    _memory: BytePermit,
}

impl PlannedFile {
    /// A file for which the memory was granted.
    pub fn new(job: FileJob, memory: BytePermit) -> Self {
        Self { job, _memory: memory }
    }
}

impl Deref for PlannedFile {
    type Target = FileJob;

    fn deref(&self) -> &FileJob {
        &self.job
    }
}

/// One chunk's place in one file.
pub type Use = ChunkUse<Arc<PlannedFile>>;

/// Planned: frames to fetch together.
pub struct PlannedRead {
    /// Who wants what.
    pub batch: ReadBatch<Arc<PlannedFile>>,
    /// What the list of uses takes; shared when a read is taken apart.
    pub memory: Arc<BytePermit>,
}

/// Fetched, or why not.
pub struct FetchedRead {
    /// Who wants what.
    pub read: PlannedRead,
    /// The sealed bytes.
    pub fetched: Result<FetchedFrames, RepositoryError>,
}

/// Never sent: the finisher waits until everybody who could send it is gone.
pub enum AllWritten {}

impl Weighed for PlannedRead {
    fn weight_bytes(&self) -> u64 {
        self.batch.uses.iter().map(|item| u64::from(item.length)).sum()
    }
}

impl Weighed for FetchedRead {
    fn weight_bytes(&self) -> u64 {
        self.fetched
            .as_ref()
            .map_or(0, |fetched| fetched.sealed_bytes() as u64)
    }
}

impl Weighed for AllWritten {
    fn weight_bytes(&self) -> u64 {
        match *self {}
    }
}
