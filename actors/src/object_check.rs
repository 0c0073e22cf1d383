// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Is the content of an object what its name and its seal promise? For whoever copies objects from one target to another.
//!
//! Names are random and say nothing about content (F-2), so the proof is inside: the seal opens, every chunk of a pack has its id, a manifest and a
//! session belong to this repository and stand under their own name, a segment decodes, the config's check line fits the secret.

use std::sync::Arc;

use bytes::Bytes;
use duplicati_engine::{
    compression,
    crypto::{
        CryptoError, age_file,
        key_file::{self, KEY_FILE_SIZE_BYTES_MAX, KeyFileError, Unlock},
    },
    format::{
        FormatError,
        index_segment::decode_segment,
        session::{Plan, Session},
    },
    id::{PackId, RepositoryId, SnapshotId},
    repository::{ObjectProblem, Repository, RepositoryError},
    storage::{ObjectKind, ObjectName},
};

use crate::{error::RunError, inventory::description_hash, verify::open_pack};

/// Largest content of a segment, session or plan, bytes.
const CONTENT_SIZE_BYTES_MAX: u64 = 1 << 30;

/// How far an object could be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It opened, and everything in it is right.
    Content,
    /// It has the form of a sealed object; the key at hand does not open it, or a newer program wrote it.
    Form,
}

/// Looks into objects of one repository, wherever their bytes came from.
#[derive(Clone)]
pub struct ObjectChecker {
    repository: Arc<Repository>,
    unlock: Option<Arc<Unlock>>,
}

impl ObjectChecker {
    /// A checker that opens objects with the repository's key, and key files with what opened the repository.
    pub fn new(repository: Arc<Repository>, unlock: Option<Arc<Unlock>>) -> Self {
        Self { repository, unlock }
    }

    /// The same as [`check`](Self::check), on a thread where it may take its time.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), inside; outside only a defect of this program.
    pub async fn check_apart(
        &self,
        name: ObjectName,
        object: Bytes,
        described: Option<[u8; 16]>,
    ) -> Result<Result<Proof, RepositoryError>, RunError> {
        let checker = self.clone();
        tokio::task::spawn_blocking(move || checker.check(&name, &object, described))
            .await
            .map_err(|error| RunError::Panicked {
                stage: "object check",
                message: error.to_string(),
            })
    }

    /// Checks the bytes of an object against its name; `described` is the hash of what the index says about a pack.
    ///
    /// # Errors
    /// When they are not what should stand under the name.
    pub fn check(
        &self,
        name: &ObjectName,
        object: &[u8],
        described: Option<[u8; 16]>,
    ) -> Result<Proof, RepositoryError> {
        let location = || self.repository.store.location();
        let looked = match name.kind() {
            ObjectKind::Config => self
                .repository
                .check_config(object)
                .map(|()| Proof::Content)
                .map_err(ObjectProblem::from),
            ObjectKind::Key => self.key(object),
            ObjectKind::Pack => self.pack(PackId(name.id()), object, described),
            ObjectKind::IndexSegment => self.segment(object),
            ObjectKind::Snapshot => return self.snapshot(SnapshotId(name.id()), object),
            ObjectKind::Session => self
                .json::<Session>(object)
                .and_then(|session| self.belongs(session.repository_id)),
            ObjectKind::Plan => self
                .json::<Plan>(object)
                .and_then(|plan| self.belongs(plan.repository_id)),
        };
        match looked {
            // Whole, and not ours to judge (F-8).
            Err(ObjectProblem::Format(FormatError::UnknownVersion { .. })) => Ok(Proof::Form),
            Err(problem) => Err(RepositoryError::object(name, location(), problem)),
            Ok(proof) => Ok(proof),
        }
    }

    fn belongs(&self, id: RepositoryId) -> Result<Proof, ObjectProblem> {
        if id == self.repository.config.repository_id {
            return Ok(Proof::Content);
        }
        Err(FormatError::damaged("object", format!("it belongs to repository {id}")).into())
    }

    fn key(&self, object: &[u8]) -> Result<Proof, ObjectProblem> {
        if object.len() as u64 > KEY_FILE_SIZE_BYTES_MAX {
            return Err(FormatError::damaged("key file", "it is too large").into());
        }
        let opened = match &self.unlock {
            Some(unlock) => key_file::open(object, unlock),
            None => Err(CryptoError::NoKey.into()),
        };
        match opened {
            Ok(key) => self.belongs(key.repository_id),
            // Somebody else's way in: only its outside can be seen.
            Err(KeyFileError::Crypto(CryptoError::NoKey)) => {
                key_file::holder_kind(object)?;
                Ok(Proof::Form)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn pack(&self, id: PackId, object: &[u8], described: Option<[u8; 16]>) -> Result<Proof, ObjectProblem> {
        if !self.repository.data.can_open() {
            age_file::header_length(object)?;
            return Ok(Proof::Form);
        }
        let pack = open_pack(&self.repository, id, object)?;
        if described.is_some_and(|hash| hash != description_hash(&pack)) {
            return Err(FormatError::damaged("pack", "it is another one than the index describes").into());
        }
        Ok(Proof::Content)
    }

    fn content(&self, object: &[u8]) -> Result<Vec<u8>, ObjectProblem> {
        let stored = self.repository.index.open(object)?;
        Ok(compression::decompress_object(&stored, CONTENT_SIZE_BYTES_MAX)?)
    }

    fn segment(&self, object: &[u8]) -> Result<Proof, ObjectProblem> {
        decode_segment(&self.content(object)?, |_| Ok::<_, FormatError>(()))?;
        Ok(Proof::Content)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, object: &[u8]) -> Result<T, ObjectProblem> {
        serde_json::from_slice(&self.content(object)?)
            .map_err(|error| FormatError::damaged("object", error.to_string()).into())
    }

    fn snapshot(&self, id: SnapshotId, object: &[u8]) -> Result<Proof, RepositoryError> {
        match self.repository.read_snapshot(id, object) {
            Ok(_) => Ok(Proof::Content),
            Err(error) if error.is_newer() => Ok(Proof::Form),
            // A manifest is sealed for the data identity, which a write-only key does not have.
            Err(_) if !self.repository.data.can_open() && age_file::header_length(object).is_ok() => {
                Ok(Proof::Form)
            }
            Err(error) => Err(error),
        }
    }
}
