// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keyed BLAKE3 identifiers of chunks (F-3).

use crate::{crypto::secret::Secret, format::pack::PackClass, id::ChunkId};

/// Names chunks; data and tree chunks under different keys.
#[derive(Clone)]
pub struct ChunkHasher {
    data_key: [u8; 32],
    tree_key: [u8; 32],
}

impl ChunkHasher {
    /// The hasher of one repository.
    pub fn new(secret: &Secret) -> Self {
        Self {
            data_key: secret.data_chunk_key(),
            tree_key: secret.tree_chunk_key(),
        }
    }

    /// The id of a chunk's raw bytes.
    #[inline]
    pub fn id(&self, class: PackClass, content: &[u8]) -> ChunkId {
        let key = match class {
            PackClass::Data => &self.data_key,
            PackClass::Tree => &self.tree_key,
        };
        ChunkId(*blake3::keyed_hash(key, content).as_bytes())
    }
}
