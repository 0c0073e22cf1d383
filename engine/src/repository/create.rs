// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Making a repository: key file first, then the config, whose exclusive `put` decides who made it.

use std::sync::Arc;

use bytes::Bytes;

use super::{Repository, RepositoryError};
use crate::{
    chunking::Chunker,
    crypto::{
        Envelope,
        key_file::{self, KeyContent, KeyHolder, KeyKind},
        secret::{Secret, random_id},
    },
    format::config::{ChunkingParameters, Encryption, RepositoryConfig},
    hashing::ChunkHasher,
    id::{KeyId, RepositoryId},
    storage::{ObjectKind, ObjectName, Store, StoreErrorKind},
};

/// How a new repository shall be.
pub struct CreateOptions {
    /// Who may open it; none makes it unencrypted.
    pub holder: Option<KeyHolder>,
    /// How files are cut.
    pub chunking: ChunkingParameters,
    /// Label of the first key.
    pub label: String,
    /// Now, ISO 8601.
    pub created: String,
}

impl Repository {
    /// What a place without a config holds of a repository that once was there: a kind of objects and how many. None where a repository can be made.
    ///
    /// A lost config must not be papered over: a new secret would make everything stored before unreadable. Key files alone may be what another first
    /// backup left that came second.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn remains(store: &dyn Store) -> Result<Option<(ObjectKind, usize)>, RepositoryError> {
        for kind in [ObjectKind::Snapshot, ObjectKind::IndexSegment, ObjectKind::Pack] {
            let found = store.list(kind).await?.objects.len();
            if found > 0 {
                return Ok(Some((kind, found)));
            }
        }
        Ok(None)
    }

    /// Makes a repository in an empty or new place.
    ///
    /// # Errors
    /// When the place holds something else, or somebody else made a repository there at the same time ([`RepositoryError::MadeByAnother`]); then nothing of
    /// this attempt stays.
    pub async fn create(store: Arc<dyn Store>, options: CreateOptions) -> Result<Self, RepositoryError> {
        store.prepare(true).await?;
        let foreign = store.list_foreign_root().await?;
        if !foreign.is_empty() {
            let examples = foreign.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            return Err(RepositoryError::Occupied {
                location: store.location(),
                examples,
            });
        }
        if let Some((kind, found)) = Self::remains(store.as_ref()).await? {
            let location = store.location();
            if Self::exists(store.as_ref()).await? {
                return Err(RepositoryError::MadeByAnother { location });
            }
            return Err(RepositoryError::ConfigLost {
                location,
                kind: kind.folder(),
                found,
            });
        }
        let repository_id = RepositoryId(random_id().map_err(RepositoryError::Seal)?);
        let created = options.created;
        let mut own_key = None;
        let (secret, key, data, index, encryption) = match &options.holder {
            None => {
                let secret = Secret::generate().map_err(RepositoryError::Seal)?;
                (secret, None, Envelope::Open, Envelope::Open, Encryption::None)
            }
            Some(holder) => {
                let key = KeyContent::generate(repository_id, options.label, created.clone())
                    .map_err(RepositoryError::Seal)?;
                let object = key_file::seal(&key, holder).map_err(RepositoryError::Seal)?;
                let id = KeyId(random_id().map_err(RepositoryError::Seal)?);
                store.put(&id.into(), Bytes::from(object)).await?;
                own_key = Some(id);
                let data = key.data_envelope().map_err(RepositoryError::Seal)?;
                let index = key.index_envelope().map_err(RepositoryError::Seal)?;
                (key.secret.clone(), Some(key), data, index, Encryption::Age)
            }
        };
        let config = RepositoryConfig::new(repository_id, encryption, options.chunking, created, &secret);
        let encoded = Bytes::from(config.encode(&secret));
        match store.put(&ObjectName::CONFIG, encoded.clone()).await {
            Ok(()) => {}
            Err(error) if error.kind == StoreErrorKind::AlreadyExists => {
                // A put that was repeated because its answer was lost finds itself; another config means that somebody else was first.
                if store.get(&ObjectName::CONFIG, None).await? != encoded {
                    if let Some(id) = own_key {
                        store.delete(&id.into()).await?;
                    }
                    let location = store.location();
                    return Err(RepositoryError::MadeByAnother { location });
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            hasher: ChunkHasher::new(&secret),
            chunker: Chunker::new(&config.chunking, &secret),
            store,
            config,
            data,
            index,
            key_kind: KeyKind::Full,
            key,
            key_id: own_key,
            rival_keys: Vec::new(),
            secret,
        })
    }
}
