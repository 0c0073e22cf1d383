// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts what still opens of damaged packs into new packs.
//!
//! One damaged pack at a time, with what comes out of it: damage is rare, so this is one buffer of each kind and no stages.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    compaction::PackFiller,
    compression::LEVEL_DEFAULT,
    format::index_segment::PackDescription,
    id::{ChunkId, PackId},
    repository::Repository,
    salvage::{Salvaged, salvage},
    storage::ObjectName,
};

use crate::error::RunError;

/// A pack is stored when it holds this much, bytes.
const PACK_SIZE_BYTES: u64 = 16 << 20;

/// New packs being filled.
pub struct Salvager {
    repository: Arc<Repository>,
    /// None until something is to be stored: its tables are large.
    filler: Option<PackFiller>,
    /// What has a sound place by now: it need not be had from another damaged pack.
    secured: HashSet<[u8; 16]>,
    is_dry_run: bool,
    /// Chunks that came out.
    pub chunks: u64,
    /// Packs stored.
    pub packs: Vec<PackId>,
    /// Their size, bytes.
    pub bytes: u64,
    /// Descriptions of the packs stored, for a segment.
    pub descriptions: Vec<Vec<u8>>,
}

impl Salvager {
    /// Nothing salvaged yet.
    pub fn new(repository: &Arc<Repository>, is_dry_run: bool) -> Self {
        Self {
            repository: Arc::clone(repository),
            filler: None,
            secured: HashSet::new(),
            is_dry_run,
            chunks: 0,
            packs: Vec::new(),
            bytes: 0,
            descriptions: Vec::new(),
        }
    }

    /// Says that a pack is whole and described, so its chunks need not be had from elsewhere.
    pub fn secure(&mut self, pack: &PackDescription) {
        let chunks = pack.footer.frames.iter().flat_map(|frame| &frame.chunks);
        self.secured.extend(chunks.map(|(id, _)| id.prefix()));
    }

    /// What has a sound place by now, by the first bytes of its id.
    pub fn secured(&self) -> impl Iterator<Item = [u8; 16]> {
        self.secured.iter().copied()
    }

    /// Takes everything right out of an object that is not secured and for which `is_wanted` is true. Returns whether the pack's own footer could be read.
    pub fn take(
        &mut self,
        object: &[u8],
        described: &[PackDescription],
        is_wanted: impl Fn(&ChunkId) -> bool,
    ) -> Result<bool, RunError> {
        let repository = Arc::clone(&self.repository);
        // Frames come in order, so that what was taken from one shows at the next.
        let secured = std::cell::RefCell::new(std::mem::take(&mut self.secured));
        let outcome = salvage(
            &repository,
            object,
            described,
            |id| !secured.borrow().contains(&id.prefix()) && is_wanted(id),
            |class, piece| {
                let count = match &piece {
                    Salvaged::Frame { chunks, .. } => {
                        secured
                            .borrow_mut()
                            .extend(chunks.iter().map(|(id, _)| id.prefix()));
                        chunks.len()
                    }
                    Salvaged::Chunk(id, _) => {
                        secured.borrow_mut().insert(id.prefix());
                        1
                    }
                };
                self.chunks += count as u64;
                if self.is_dry_run {
                    return Ok(());
                }
                let filler = self
                    .filler
                    .get_or_insert_with(|| PackFiller::new(LEVEL_DEFAULT, PACK_SIZE_BYTES));
                let added = match piece {
                    Salvaged::Frame {
                        stored,
                        raw_size_bytes,
                        chunks,
                    } => filler.add_frame(&repository, class, stored, raw_size_bytes, chunks.to_vec()),
                    Salvaged::Chunk(id, content) => filler.add_chunk(&repository, class, id, content),
                };
                added.map_err(RunError::from)
            },
        );
        self.secured = secured.into_inner();
        outcome
    }

    /// Stores the packs that are full.
    pub async fn upload(&mut self) -> Result<(), RunError> {
        let finished = self.filler.as_mut().map(PackFiller::take_finished);
        for pack in finished.unwrap_or_default() {
            let size = pack.object.len() as u64;
            let name = ObjectName::from(pack.description.id);
            self.repository.store.put(&name, pack.object).await?;
            let mut encoded = Vec::new();
            pack.description.encode(&mut encoded);
            self.descriptions.push(encoded);
            self.packs.push(pack.description.id);
            self.bytes += size;
        }
        Ok(())
    }

    /// Stores what is left. The caller describes it.
    pub async fn finish(&mut self) -> Result<(), RunError> {
        if let Some(filler) = &mut self.filler {
            filler.finish(&self.repository)?;
        }
        self.upload().await
    }
}
