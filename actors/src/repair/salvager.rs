// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts what still opens of damaged packs into new packs.
//!
//! One damaged pack at a time, with what comes out of it: damage is rare, so this is one buffer of each kind and no stages.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    compaction::{PackWriter, WrittenPack},
    compression::{CompressibilityTest, FrameCompressor, LEVEL_DEFAULT, store_raw},
    format::{index_segment::PackDescription, pack::PackClass},
    id::{ChunkId, PackId},
    repository::{Repository, RepositoryError},
    salvage::{Salvaged, salvage},
    storage::ObjectName,
};

use crate::error::RunError;

/// A frame of single chunks is finished when it holds this much, bytes (F-4).
const FRAME_SIZE_BYTES: usize = 1 << 20;
/// A pack is stored when it holds this much, bytes.
const PACK_SIZE_BYTES: u64 = 16 << 20;

#[derive(Default)]
struct OpenClass {
    pack: Option<PackWriter>,
    content: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
}

/// New packs being filled.
pub struct Salvager {
    repository: Arc<Repository>,
    open: [OpenClass; 2],
    finished: Vec<WrittenPack>,
    /// What has a sound place by now: it need not be had from another damaged pack.
    secured: HashSet<[u8; 16]>,
    tools: Option<(FrameCompressor, CompressibilityTest)>,
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
            open: [OpenClass::default(), OpenClass::default()],
            finished: Vec::new(),
            secured: HashSet::new(),
            tools: None,
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
                match piece {
                    Salvaged::Frame {
                        stored,
                        raw_size_bytes,
                        chunks,
                    } => self.push(class, stored, raw_size_bytes, chunks.to_vec()),
                    Salvaged::Chunk(id, content) => self.add(class, id, content),
                }
            },
        );
        self.secured = secured.into_inner();
        outcome
    }

    fn add(&mut self, class: PackClass, id: ChunkId, content: &[u8]) -> Result<(), RunError> {
        let slot = &mut self.open[slot(class)];
        slot.content.extend_from_slice(content);
        slot.chunks.push((id, content.len() as u32));
        if slot.content.len() >= FRAME_SIZE_BYTES {
            self.end_frame(class)?;
        }
        Ok(())
    }

    fn end_frame(&mut self, class: PackClass) -> Result<(), RunError> {
        let slot = &mut self.open[slot(class)];
        if slot.chunks.is_empty() {
            return Ok(());
        }
        let content = std::mem::take(&mut slot.content);
        let chunks = std::mem::take(&mut slot.chunks);
        let (compressor, test) = self.tools.get_or_insert_with(|| {
            (
                FrameCompressor::new(LEVEL_DEFAULT),
                CompressibilityTest::default(),
            )
        });
        let mut stored = Vec::new();
        if !test.is_incompressible(&content) {
            compressor
                .compress(&content, &mut stored)
                .map_err(RepositoryError::Compress)?;
        }
        if stored.is_empty() || stored.len() > content.len() + 64 {
            stored.clear();
            store_raw(&content, &mut stored);
        }
        self.push(class, &stored, content.len() as u32, chunks)
    }

    fn push(
        &mut self,
        class: PackClass,
        stored: &[u8],
        raw_size_bytes: u32,
        chunks: Vec<(ChunkId, u32)>,
    ) -> Result<(), RunError> {
        let slot = &mut self.open[slot(class)];
        let pack = match &mut slot.pack {
            Some(pack) => pack,
            empty => empty.insert(PackWriter::new(&self.repository, class)?),
        };
        pack.push(stored, raw_size_bytes, chunks)?;
        if pack.size_bytes() >= PACK_SIZE_BYTES {
            self.end_pack(class)?;
        }
        Ok(())
    }

    fn end_pack(&mut self, class: PackClass) -> Result<(), RunError> {
        if let Some(pack) = self.open[slot(class)].pack.take() {
            self.finished.push(pack.finish(&self.repository)?);
        }
        Ok(())
    }

    /// Stores the packs that are full.
    pub async fn upload(&mut self) -> Result<(), RunError> {
        for pack in self.finished.drain(..) {
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
        for class in [PackClass::Data, PackClass::Tree] {
            self.end_frame(class)?;
            self.end_pack(class)?;
        }
        self.upload().await
    }
}

fn slot(class: PackClass) -> usize {
    usize::from(class == PackClass::Tree)
}
