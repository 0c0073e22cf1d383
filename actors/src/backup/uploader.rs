// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores finished packs; several at once.
//!
//! In: `FinishedPack` from the packer. Out: `StoredPack` to the indexer. Waits for the target.

use std::sync::Arc;

use duplicati_engine::{repository::Repository, storage::ObjectName};

use super::batches::{FinishedPack, StoredPack};
use crate::{
    buffers::BufferPool,
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress, Severity},
    inlet::{Inlet, Outlet},
};

/// Name of the stage.
pub const NAME: &str = "uploader";

/// What an uploader works with.
pub struct Uploader {
    /// Where packs go.
    pub repository: Arc<Repository>,
    /// Packs to store.
    pub packs: Outlet<FinishedPack>,
    /// The next stage.
    pub indexer: Inlet<StoredPack>,
    /// Where pack buffers go back to.
    pub pack_buffers: BufferPool,
    /// The run.
    pub control: RunControl,
    /// Counters.
    pub monitor: Monitor,
    /// Count but do not store.
    pub dry_run: bool,
}

impl Uploader {
    /// Works until the stream ends.
    pub async fn run(self) -> Result<(), RunError> {
        while let Some(pack) = self.packs.receive().await? {
            let FinishedPack {
                id,
                object,
                description,
                chunks,
                permit,
            } = pack;
            let name = ObjectName::from(id);
            let size = object.len() as u64;
            let content = self.pack_buffers.lend(object);
            if !self.dry_run {
                tokio::select! {
                    stored = self.repository.store.put(&name, content) => stored?,
                    () = self.control.tripped() => return Err(RunError::Interrupted),
                }
            }
            drop(permit);
            let progress = &self.monitor.progress;
            Progress::add(&progress.stored_objects, 1);
            Progress::add(&progress.stored_bytes, size);
            self.monitor.tell(
                Severity::Verbose,
                "PackStored",
                name.to_string().as_bytes(),
                format!("{size} bytes"),
            );
            self.indexer
                .send(StoredPack {
                    id,
                    description,
                    chunks,
                })
                .await?;
        }
        Ok(())
    }
}
