// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What moves between the stages of a restore.

use std::sync::Arc;

use duplicati_engine::{
    repository::{RepositoryError, frames::FetchedFrames},
    restore::{file::FileJob, plan::ReadBatch},
};

use crate::inlet::Weighed;

/// Planned: frames to fetch together.
pub type PlannedRead = ReadBatch<Arc<FileJob>>;

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
        self.uses.iter().map(|item| u64::from(item.length)).sum()
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
