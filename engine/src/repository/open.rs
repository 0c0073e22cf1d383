// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opening a repository from its config and a key.

use std::sync::Arc;

use super::{Repository, RepositoryError};
use crate::{
    chunking::Chunker,
    crypto::{
        CryptoError, Envelope,
        key_file::{self, KeyContent, KeyFileError, KeyKind, Unlock},
    },
    format::{
        FormatError,
        config::{CONFIG_SIZE_BYTES_MAX, Encryption, RepositoryConfig},
    },
    hashing::ChunkHasher,
    id::KeyId,
    storage::{ObjectKind, ObjectName, Store, StoreErrorKind},
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
                let (id, key) = find_key(store.as_ref(), &config, unlock).await?;
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
            secret,
        })
    }
}

/// The first key file that opens; a full key is preferred to a write-only one.
async fn find_key(
    store: &dyn Store,
    config: &RepositoryConfig,
    unlock: &Unlock,
) -> Result<(KeyId, KeyContent), RepositoryError> {
    let listing = store.list(ObjectKind::Key).await?;
    let mut tried = 0;
    let mut write_only = None;
    let mut damaged = None;
    for info in listing.objects {
        if info.size_bytes > key_file::KEY_FILE_SIZE_BYTES_MAX {
            continue;
        }
        let object = match store.get(&info.name, None).await {
            // Another key file may open.
            Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::NotFound) => {
                damaged = Some(error.into());
                continue;
            }
            object => object?,
        };
        tried += 1;
        match key_file::open(&object, unlock) {
            Ok(key) if key.repository_id != config.repository_id => {
                // It opens, so the passphrase is not what is wrong.
                let source = FormatError::damaged(
                    "key file",
                    format!(
                        "it belongs to repository {}, but {} is that of repository {}; one of the two was exchanged",
                        key.repository_id,
                        ObjectName::CONFIG,
                        config.repository_id
                    ),
                );
                damaged = Some(RepositoryError::object(&info.name, store.location(), source));
            }
            Ok(key) if key.kind == KeyKind::WriteOnly => {
                write_only = write_only.or(Some((KeyId(info.name.id()), key)));
            }
            Ok(key) => return Ok((KeyId(info.name.id()), key)),
            Err(KeyFileError::Crypto(CryptoError::NoKey)) => {}
            // One damaged key file must not lock out the holders of the others.
            Err(error) => damaged = Some(RepositoryError::object(&info.name, store.location(), error)),
        }
    }
    match (write_only, damaged) {
        (Some(found), _) => Ok(found),
        (None, Some(error)) => Err(error),
        (None, None) => Err(RepositoryError::WrongKey {
            location: store.location(),
            tried,
        }),
    }
}
