// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores changed directories: tree chunks into frames, frames into packs, packs into a segment.
//!
//! A purge changes little, so this is one buffer of each kind and no stages.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    compaction::{PackWriter, WrittenPack},
    compression::{FrameCompressor, LEVEL_DEFAULT},
    format::{chunk_list::ChunkList, pack::PackClass},
    id::ChunkId,
    index::ChunkIndex,
    repository::{Repository, RepositoryError},
    storage::ObjectName,
};

use crate::{
    backup::list_with,
    compact::put_segment,
    error::RunError,
    events::{Monitor, Progress},
    inventory::Inventory,
};

/// A frame is compressed when it holds this much, bytes (F-4).
const FRAME_SIZE_BYTES: usize = 1 << 20;
/// A pack is stored when it holds this much, bytes.
const PACK_SIZE_BYTES: u64 = 16 << 20;

/// Where changed directories go.
pub struct TreePacks<'a> {
    repository: Arc<Repository>,
    index: &'a ChunkIndex,
    inventory: &'a Inventory,
    monitor: Monitor,
    compressor: FrameCompressor,
    frame: Vec<u8>,
    frame_chunks: Vec<(ChunkId, u32)>,
    pack: Option<PackWriter>,
    finished: Vec<WrittenPack>,
    descriptions: Vec<Vec<u8>>,
    new: HashSet<ChunkId>,
    /// Packs stored.
    pub stored_packs: u64,
    /// Their size, bytes.
    pub stored_bytes: u64,
}

impl<'a> TreePacks<'a> {
    /// Nothing stored yet.
    pub fn new(
        repository: &Arc<Repository>,
        index: &'a ChunkIndex,
        inventory: &'a Inventory,
        monitor: &Monitor,
    ) -> Self {
        Self {
            repository: Arc::clone(repository),
            index,
            inventory,
            monitor: monitor.clone(),
            compressor: FrameCompressor::new(LEVEL_DEFAULT),
            frame: Vec::new(),
            frame_chunks: Vec::new(),
            pack: None,
            finished: Vec::new(),
            descriptions: Vec::new(),
            new: HashSet::new(),
            stored_packs: 0,
            stored_bytes: 0,
        }
    }

    /// Whether a tree chunk needs no storing. What a plan condemns or is known to be damaged does not count (S-2).
    fn is_known(&self, id: &ChunkId) -> bool {
        if self.new.contains(id) {
            return true;
        }
        self.index.find(id).is_some_and(|place| {
            let frame = self.index.frame(place.frame);
            frame.class == PackClass::Tree
                && self.inventory.packs.get(&frame.pack) == Some(&frame.object_size)
                && !self.inventory.doomed.contains(&frame.pack)
                && !self.inventory.damaged.contains(&frame.pack)
        })
    }

    /// Takes a tree chunk.
    pub fn store(&mut self, content: &[u8]) -> Result<ChunkId, RunError> {
        let id = self.repository.hasher.id(PackClass::Tree, content);
        if !self.is_known(&id) {
            self.new.insert(id);
            self.frame.extend_from_slice(content);
            self.frame_chunks.push((id, content.len() as u32));
            if self.frame.len() >= FRAME_SIZE_BYTES {
                self.end_frame()?;
            }
        }
        Ok(id)
    }

    /// Takes the list of a directory's chunks.
    pub fn store_list(&mut self, ids: Vec<ChunkId>) -> Result<ChunkList, RunError> {
        list_with(ids, |content| self.store(content))
    }

    fn end_frame(&mut self) -> Result<(), RunError> {
        if self.frame_chunks.is_empty() {
            return Ok(());
        }
        let mut stored = Vec::new();
        self.compressor
            .compress(&self.frame, &mut stored)
            .map_err(RepositoryError::Compress)?;
        let pack = match &mut self.pack {
            Some(pack) => pack,
            empty => empty.insert(PackWriter::new(&self.repository, PackClass::Tree)?),
        };
        pack.push(
            &stored,
            self.frame.len() as u32,
            std::mem::take(&mut self.frame_chunks),
        )?;
        self.frame.clear();
        if pack.size_bytes() >= PACK_SIZE_BYTES {
            self.end_pack()?;
        }
        Ok(())
    }

    fn end_pack(&mut self) -> Result<(), RunError> {
        if let Some(pack) = self.pack.take() {
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
            self.stored_packs += 1;
            self.stored_bytes += size;
            Progress::add(&self.monitor.progress.stored_objects, 1);
            Progress::add(&self.monitor.progress.stored_bytes, size);
        }
        Ok(())
    }

    /// Stores everything that is left, and the segment that describes it all (S-1).
    pub async fn finish(&mut self) -> Result<(), RunError> {
        self.end_frame()?;
        self.end_pack()?;
        self.upload().await?;
        if !self.descriptions.is_empty() {
            put_segment(&self.repository, &self.descriptions).await?;
            self.descriptions.clear();
        }
        Ok(())
    }
}
