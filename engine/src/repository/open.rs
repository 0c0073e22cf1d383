// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opening a repository from its config and a key.

use std::sync::Arc;

use super::{
    Repository, RepositoryError,
    find_key::{Trust, find_key},
};
use crate::{
    chunking::Chunker,
    crypto::{
        CryptoError, Envelope,
        key_file::{KeyKind, Unlock},
    },
    format::{
        FormatError,
        config::{CONFIG_SIZE_BYTES_MAX, Encryption, RepositoryConfig},
    },
    hashing::ChunkHasher,
    storage::{ObjectName, Store, StoreErrorKind},
};

impl Repository {
    /// Whether the target holds a repository's config.
    ///
    /// # Errors
    /// When the target does not answer.
    pub async fn exists(store: &dyn Store) -> Result<bool, RepositoryError> {
        match store.get(&ObjectName::CONFIG, None).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that the target still holds this repository: a disk can be exchanged while a run goes on, and what is sealed for one repository is damage in
    /// another.
    ///
    /// # Errors
    /// When it does not, or does not answer.
    pub async fn confirm(&self) -> Result<(), RepositoryError> {
        let content = self.store.get(&ObjectName::CONFIG, None).await?;
        let same = RepositoryConfig::decode(&content)
            .is_ok_and(|(config, _)| config.repository_id == self.config.repository_id);
        match same {
            true => Ok(()),
            false => Err(RepositoryError::Exchanged {
                location: self.store.location(),
            }),
        }
    }

    /// Opens a repository. Without `unlock` only an unencrypted one opens, and with it only an encrypted one: a config that
    /// somebody exchanged must not turn encryption off.
    ///
    /// # Errors
    /// When there is none, it is newer than this program, or the key does not fit.
    pub async fn open(store: Arc<dyn Store>, unlock: Option<&Unlock>) -> Result<Self, RepositoryError> {
        Self::open_trusted(store, unlock, Trust::Any).await
    }

    /// The same for who knows which of several keys is meant. That the key found is the one is for the caller to see ([`Repository::pin`]): a repository must
    /// open to be looked at.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_trusted(
        store: Arc<dyn Store>,
        unlock: Option<&Unlock>,
        trust: Trust<'_>,
    ) -> Result<Self, RepositoryError> {
        let location = store.location();
        let problem =
            |source: FormatError| RepositoryError::object(&ObjectName::CONFIG, store.location(), source);
        let content = match store.get(&ObjectName::CONFIG, None).await {
            Ok(content) => content,
            Err(error) if error.kind == StoreErrorKind::NotFound => {
                return Err(RepositoryError::Absent { location });
            }
            Err(error) => return Err(error.into()),
        };
        if content.len() as u64 > CONFIG_SIZE_BYTES_MAX {
            return Err(problem(FormatError::damaged(
                "repository.json",
                "it is too large",
            )));
        }
        let (config, check) = RepositoryConfig::decode(&content).map_err(problem)?;
        let (mut key_id, mut rival_keys) = (None, Vec::new());
        let (secret, key, data, index, key_kind) = match (config.encryption, unlock) {
            (Encryption::None, Some(_)) => return Err(RepositoryError::NotEncrypted { location }),
            (Encryption::Age, None) => return Err(RepositoryError::NeedsKey { location }),
            (Encryption::None, None) => {
                let secret = config
                    .open_secret()
                    .expect("decode checked that it is there")
                    .clone();
                (secret, None, Envelope::Open, Envelope::Open, KeyKind::Full)
            }
            (Encryption::Age, Some(unlock)) => {
                let found = find_key(store.as_ref(), &config, &check, unlock, trust).await?;
                let (id, key) = (found.id, found.content);
                (key_id, rival_keys) = (Some(id), found.rivals);
                let bad = |error: CryptoError| RepositoryError::object(&id.into(), store.location(), error);
                let data = key.data_envelope().map_err(bad)?;
                let index = key.index_envelope().map_err(bad)?;
                (key.secret.clone(), Some(key.clone()), data, index, key.kind)
            }
        };
        check.verify(&secret).map_err(problem)?;
        Ok(Self {
            hasher: ChunkHasher::new(&secret),
            chunker: Chunker::new(&config.chunking, &secret),
            store,
            config,
            data,
            index,
            key_kind,
            key,
            key_id,
            rival_keys,
            secret,
        })
    }
}
