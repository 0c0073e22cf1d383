// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes index segments for stored packs.
//!
//! In: `StoredPack` from the uploaders. Out: the news, once, that everything stored is indexed. Every pack is first remembered in the local database, so
//! that a run that is cut off between pack and segment loses nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use duplicati_engine::{
    compression,
    crypto::secret::random_id,
    format::index_segment::encode_segment,
    id::{PackId, SegmentId},
    index::local::{LocalError, LocalState},
    repository::{Repository, RepositoryError},
    storage::ObjectName,
};
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    batches::StoredPack,
    wiring::{SEGMENT_CHUNKS_MAX, SEGMENT_PACKS_MAX},
};
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress, Severity},
    inlet::Outlet,
};

/// Name of the stage.
pub const NAME: &str = "indexer";

/// What the indexer works with.
pub struct Indexer {
    /// Where segments go.
    pub repository: Arc<Repository>,
    /// The local copy; handed back at the end.
    pub local: LocalState,
    /// Packs stored by an earlier run that was cut off, to be indexed with the first segment.
    pub remembered: Vec<(PackId, Vec<u8>)>,
    /// Packs to index.
    pub packs: Outlet<StoredPack>,
    /// Hears when all is indexed.
    pub done: oneshot::Sender<LocalState>,
    /// For requests to the target.
    pub runtime: Handle,
    /// Ends every wait when the run is over.
    pub control: RunControl,
    /// Counters.
    pub monitor: Monitor,
    /// True while a segment was sent of which nothing was heard: it may come about yet, and must find the session that keeps its packs.
    pub is_unheard: Arc<AtomicBool>,
    /// Count but do not store.
    pub dry_run: bool,
    /// Whether it was told that the local copy cannot be written.
    pub is_unnoted_told: bool,
}

impl Indexer {
    /// Works until the stream ends, then writes the last segment.
    pub fn run(mut self) -> Result<(), RunError> {
        let mut remembered = std::mem::take(&mut self.remembered);
        while remembered.len() >= SEGMENT_PACKS_MAX {
            let mut part = remembered.split_off(remembered.len() - SEGMENT_PACKS_MAX);
            self.flush(&mut part)?;
        }
        let mut pending = remembered;
        let mut chunks = 0;
        while let Some(StoredPack {
            id,
            description,
            chunks: count,
        }) = self.packs.receive_blocking()?
        {
            if !self.dry_run {
                let noted = self.local.put_stored_pack(id, &description);
                self.tell_unnoted(noted);
            }
            pending.push((id, description));
            chunks += count;
            if pending.len() >= SEGMENT_PACKS_MAX || chunks >= SEGMENT_CHUNKS_MAX {
                self.flush(&mut pending)?;
                chunks = 0;
            }
        }
        self.flush(&mut pending)?;
        // The committer went away only when the run is over already.
        self.done.send(self.local).map_err(|_| RunError::Interrupted)
    }

    fn flush(&mut self, pending: &mut Vec<(PackId, Vec<u8>)>) -> Result<(), RunError> {
        if pending.is_empty() || self.dry_run {
            pending.clear();
            return Ok(());
        }
        let id = SegmentId(random_id()?);
        let content = encode_segment(pending.iter().map(|(_, description)| description.as_slice()));
        let stored = compression::compress_object(&content).map_err(RepositoryError::Compress)?;
        drop(content);
        let sealed = self.repository.index.seal(&stored)?;
        let size = sealed.len() as u64;
        let repository = &self.repository;
        self.control.block_on(&self.runtime, repository.confirm())??;
        let name = ObjectName::from(id);
        self.is_unheard.store(true, Ordering::SeqCst);
        let answer = self
            .control
            .block_on(&self.runtime, repository.store.put(&name, sealed.into()))?;
        // A target that broke off may store it yet.
        let is_heard = answer
            .as_ref()
            .err()
            .is_none_or(|error| !error.is_retry_sensible());
        self.is_unheard.store(!is_heard, Ordering::SeqCst);
        answer?;
        let progress = &self.monitor.progress;
        Progress::add(&progress.stored_objects, 1);
        Progress::add(&progress.stored_bytes, size);
        let ids: Vec<PackId> = pending.drain(..).map(|(id, _)| id).collect();
        let noted = self
            .local
            .put_segment(id, &stored)
            .and_then(|()| self.local.remove_stored_packs(&ids));
        self.tell_unnoted(noted);
        Ok(())
    }

    /// The local database is a copy (S-5): a full disk there must not cost the backup.
    fn tell_unnoted(&mut self, noted: Result<(), LocalError>) {
        if let Err(error) = noted
            && !self.is_unnoted_told
        {
            self.is_unnoted_told = true;
            let message = format!(
                "the local database cannot be written, so the next run reads more of the target again: {error}"
            );
            self.monitor
                .tell(Severity::Warning, "LocalDatabaseNotWritten", b"", message);
        }
    }
}
