// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which chunks need not be stored again; shared by all workers of a backup.

use std::sync::Mutex;

use super::id_table::IdTable;
use crate::id::ChunkId;

const LOCKS: usize = 64;
/// Parts of the table behind one lock that grow by themselves.
const SHARDS: usize = 4;

/// A set of chunk ids behind many small locks.
pub struct ChunkSet {
    shards: Vec<Mutex<IdTable<()>>>,
}

impl Default for ChunkSet {
    fn default() -> Self {
        Self {
            shards: (0..LOCKS)
                .map(|_| Mutex::new(IdTable::with_shards(SHARDS)))
                .collect(),
        }
    }
}

impl ChunkSet {
    /// Adds a chunk; true exactly for the first caller, who must store it.
    pub fn insert(&self, id: &ChunkId) -> bool {
        let prefix = id.prefix();
        let shard = usize::from(prefix[15]) % LOCKS;
        // The last byte chose the lock; it stays in the key, so nothing is lost.
        let mut table = self.shards[shard]
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        table.insert(&prefix, ())
    }

    /// Whether the chunk is there.
    pub fn contains(&self, id: &ChunkId) -> bool {
        self.contains_prefix(&id.prefix())
    }

    /// The same for who has only the part that is compared.
    pub fn contains_prefix(&self, prefix: &[u8; 16]) -> bool {
        let shard = usize::from(prefix[15]) % LOCKS;
        self.shards[shard]
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(prefix)
            .is_some()
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                shard
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .len()
            })
            .sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
