// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A repository on a store: create, open, seal and open its objects, read its snapshots and index.

mod create;
mod error;
pub mod frames;
pub mod lru;
mod objects;
mod open;
mod segments;
#[cfg(test)]
pub(crate) mod test_packs;

use std::sync::Arc;

pub use create::CreateOptions;
pub use error::{ObjectProblem, RepositoryError};
pub use frames::FrameReader;
pub use objects::SnapshotListing;
pub use segments::{IndexSource, LoadedIndex};

use crate::{
    chunking::Chunker,
    crypto::{Envelope, key_file::KeyKind, secret::Secret},
    format::config::RepositoryConfig,
    hashing::ChunkHasher,
    storage::Store,
};

/// An opened repository.
pub struct Repository {
    /// The target.
    pub store: Arc<dyn Store>,
    /// Its parameters.
    pub config: RepositoryConfig,
    /// Layer of packs and manifests.
    pub data: Envelope,
    /// Layer of index segments, sessions and plans.
    pub index: Envelope,
    /// Names chunks.
    pub hasher: ChunkHasher,
    /// Cuts files.
    pub chunker: Chunker,
    /// What the key at hand may do.
    pub key_kind: KeyKind,
    /// The key content, for making further key files; none without encryption.
    pub key: Option<crate::crypto::key_file::KeyContent>,
    #[allow(
        dead_code,
        reason = "kept for key files of unencrypted repositories that become encrypted"
    )]
    secret: Secret,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Repository({} at {})",
            self.config.repository_id,
            self.store.location()
        )
    }
}
