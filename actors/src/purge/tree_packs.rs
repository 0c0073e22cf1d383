// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores changed directories: tree chunks into frames, frames into packs, packs into a segment.
//!
//! A purge changes little, so this is one buffer of each kind and no stages.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    compaction::PackFiller,
    compression::LEVEL_DEFAULT,
    format::{chunk_list::ChunkList, pack::PackClass},
    id::ChunkId,
    index::ChunkIndex,
    repository::Repository,
    storage::ObjectName,
};

use crate::{
    backup::list_with,
    compact::put_segment,
    error::RunError,
    events::{Monitor, Progress},
    inventory::Inventory,
};

/// A pack is stored when it holds this much, bytes.
const PACK_SIZE_BYTES: u64 = 16 << 20;

/// Where changed directories go.
pub struct TreePacks<'a> {
    repository: Arc<Repository>,
    index: &'a ChunkIndex,
    inventory: &'a Inventory,
    monitor: Monitor,
    filler: PackFiller,
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
            filler: PackFiller::new(LEVEL_DEFAULT, PACK_SIZE_BYTES),
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
            self.filler
                .add_chunk(&self.repository, PackClass::Tree, id, content)?;
        }
        Ok(id)
    }

    /// Takes the list of a directory's chunks.
    pub fn store_list(&mut self, ids: Vec<ChunkId>) -> Result<ChunkList, RunError> {
        list_with(ids, |content| self.store(content))
    }

    /// Stores the packs that are full.
    pub async fn upload(&mut self) -> Result<(), RunError> {
        for pack in self.filler.take_finished() {
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
        self.filler.finish(&self.repository)?;
        self.upload().await?;
        if !self.descriptions.is_empty() {
            put_segment(&self.repository, &self.descriptions).await?;
            self.descriptions.clear();
        }
        Ok(())
    }
}
