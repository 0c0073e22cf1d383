// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A repository on a store: create, open, seal and open its objects, read its snapshots and index.

mod create;
mod error;
mod find_key;
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
pub use find_key::{KEY_FILES_MAX, KeyTries, Trust};
pub use frames::FrameReader;
pub use objects::SnapshotListing;
pub use segments::{IndexSource, LoadedIndex};

use crate::{
    chunking::Chunker,
    crypto::{
        Envelope,
        key_file::{KeyContent, KeyKind},
        secret::Secret,
    },
    format::{FormatError, config::RepositoryConfig},
    hashing::ChunkHasher,
    id::KeyId,
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
    pub key: Option<KeyContent>,
    /// The key file that was opened.
    pub key_id: Option<KeyId>,
    /// Key files that open as well and seal for other recipients: one of them is forged, and nothing here says which.
    pub rival_keys: Vec<KeyId>,
    secret: Secret,
}

impl Repository {
    /// What a machine remembers of the recipients at first use, to notice when others stand in their place.
    pub fn pin(&self) -> String {
        match &self.key {
            Some(key) => key.pin(),
            None => crate::crypto::key_file::pin_text(&self.secret, ""),
        }
    }

    /// Whether a key file's content is a key of this repository, and seals for those whom it names.
    pub fn is_own_key(&self, content: &KeyContent) -> bool {
        content.repository_id == self.config.repository_id
            && content.secret.pin("") == self.secret.pin("")
            && content.check().is_ok()
    }

    /// The same repository at another target: keys and parameters of this one, objects of that one. Nothing is read there.
    #[must_use]
    pub fn at(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            config: self.config.clone(),
            data: self.data.clone(),
            index: self.index.clone(),
            hasher: ChunkHasher::new(&self.secret),
            chunker: Chunker::new(&self.config.chunking, &self.secret),
            key_kind: self.key_kind,
            key: self.key.clone(),
            key_id: self.key_id,
            rival_keys: self.rival_keys.clone(),
            secret: self.secret.clone(),
        }
    }

    /// Whether bytes are this repository's config.
    ///
    /// # Errors
    /// When they are damaged, changed, or those of another repository.
    pub fn check_config(&self, content: &[u8]) -> Result<(), FormatError> {
        let (config, check) = RepositoryConfig::decode(content)?;
        if config.repository_id != self.config.repository_id {
            return Err(FormatError::damaged(
                "repository.json",
                format!("it is that of repository {}", config.repository_id),
            ));
        }
        check.verify(&self.secret)
    }
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
