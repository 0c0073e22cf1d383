// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sealing, opening, putting and getting whole small objects; the list of snapshots.

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{Repository, RepositoryError};
use crate::{
    compression,
    crypto::Envelope,
    format::{
        FormatError,
        manifest::{MANIFEST_SIZE_BYTES_MAX, Manifest, SnapshotObject, decode_snapshot, encode_json},
    },
    id::SnapshotId,
    storage::{ObjectKind, ObjectName, StoreErrorKind},
};

/// Largest content of a session or plan, bytes.
const SMALL_OBJECT_SIZE_BYTES_MAX: u64 = 256 << 20;

/// The snapshots of a repository.
#[derive(Debug, Default)]
pub struct SnapshotListing {
    /// Readable snapshots, oldest first.
    pub snapshots: Vec<(SnapshotId, Manifest)>,
    /// Fences: names under which nothing can be committed.
    pub fences: Vec<SnapshotId>,
    /// Manifests that cannot be read, with the reason.
    pub unreadable: Vec<(SnapshotId, RepositoryError)>,
    /// Foreign names in the folder.
    pub foreign: Vec<String>,
}

/// Compresses and seals.
fn seal(envelope: &Envelope, content: &[u8]) -> Result<Bytes, RepositoryError> {
    let stored = compression::compress_object(content).map_err(RepositoryError::Compress)?;
    envelope
        .seal(&stored)
        .map(Bytes::from)
        .map_err(RepositoryError::Seal)
}

impl Repository {
    /// Compresses, seals and stores a small object.
    ///
    /// # Errors
    /// When the target refuses; `AlreadyExists` when the name is taken.
    pub async fn put_object(
        &self,
        name: &ObjectName,
        envelope: &Envelope,
        content: &[u8],
    ) -> Result<u64, RepositoryError> {
        let sealed = seal(envelope, content)?;
        let size = sealed.len() as u64;
        self.store.put(name, sealed).await?;
        Ok(size)
    }

    /// Stores a manifest under its session's name; only this makes a snapshot exist (S-1). Returns the size stored, bytes.
    ///
    /// # Errors
    /// When it is larger than readers accept, or the target refuses; `AlreadyExists` when something else has the name.
    pub async fn put_manifest(&self, id: SnapshotId, manifest: &Manifest) -> Result<u64, RepositoryError> {
        let sealed = self.seal_manifest(id, manifest)?;
        let size = sealed.len() as u64;
        let name = ObjectName::from(id);
        match self.store.put(&name, sealed.clone()).await {
            // A put that was repeated because its answer was lost finds itself. The sealed bytes tell, also to a key that cannot open them.
            Err(error)
                if error.kind == StoreErrorKind::AlreadyExists
                    && self.store.get(&name, None).await? == sealed => {}
            outcome => outcome?,
        }
        Ok(size)
    }

    fn seal_manifest(&self, id: SnapshotId, manifest: &Manifest) -> Result<Bytes, RepositoryError> {
        let named = Manifest {
            id: Some(id),
            ..manifest.clone()
        };
        let content = encode_json(&named);
        let size_bytes = content.len() as u64;
        if size_bytes > MANIFEST_SIZE_BYTES_MAX {
            return Err(RepositoryError::ManifestTooLarge {
                size_bytes,
                limit_bytes: MANIFEST_SIZE_BYTES_MAX,
            });
        }
        seal(&self.data, &content)
    }

    /// Gets and opens an object, but leaves it compressed.
    ///
    /// # Errors
    /// When it is missing or its seal does not open.
    pub async fn get_opened(
        &self,
        name: &ObjectName,
        envelope: &Envelope,
    ) -> Result<Vec<u8>, RepositoryError> {
        let sealed = self.store.get(name, None).await?;
        envelope
            .open(&sealed)
            .map_err(|error| RepositoryError::object(name, self.store.location(), error))
    }

    /// Gets a small object's content.
    ///
    /// # Errors
    /// When it is missing, sealed for another key, or damaged.
    pub async fn get_object(
        &self,
        name: &ObjectName,
        envelope: &Envelope,
    ) -> Result<Vec<u8>, RepositoryError> {
        let stored = self.get_opened(name, envelope).await?;
        compression::decompress_object(&stored, SMALL_OBJECT_SIZE_BYTES_MAX)
            .map_err(|error| RepositoryError::object(name, self.store.location(), error))
    }

    /// Reads one manifest or fence.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub async fn get_snapshot(&self, id: SnapshotId) -> Result<SnapshotObject, RepositoryError> {
        let sealed = self.store.get(&ObjectName::from(id), None).await?;
        self.read_snapshot(id, &sealed)
    }

    /// Reads the stored bytes of a manifest or fence.
    ///
    /// # Errors
    /// When they are not what should stand under this name.
    pub fn read_snapshot(&self, id: SnapshotId, sealed: &[u8]) -> Result<SnapshotObject, RepositoryError> {
        let name = ObjectName::from(id);
        let problem = |error: super::error::ObjectProblem| RepositoryError::Object {
            object: name.to_string(),
            location: self.store.location(),
            source: error,
        };
        // A fence is sealed for the index identity, a manifest for the data identity.
        let stored = match self.data.open(sealed) {
            Ok(stored) => stored,
            Err(error) => self.index.open(sealed).map_err(|_| problem(error.into()))?,
        };
        let content = compression::decompress_object(&stored, MANIFEST_SIZE_BYTES_MAX)
            .map_err(|error| problem(error.into()))?;
        let object = decode_snapshot(&content).map_err(|error| problem(error.into()))?;
        if let Some(own) = object.id()
            && own != id
        {
            let detail = format!(
                "it is a copy of {}; should nothing be there, move it to that name",
                ObjectName::from(own)
            );
            return Err(problem(FormatError::damaged("manifest", detail).into()));
        }
        if let SnapshotObject::Manifest(manifest) = &object
            && manifest.repository_id != self.config.repository_id
        {
            let detail = format!("it belongs to repository {}", manifest.repository_id);
            return Err(problem(FormatError::damaged("manifest", detail).into()));
        }
        Ok(object)
    }

    /// Reads all manifests, oldest first.
    ///
    /// # Errors
    /// When the target does not answer; unreadable manifests are part of the answer.
    pub async fn list_snapshots(&self) -> Result<SnapshotListing, RepositoryError> {
        let listing = self.store.list(ObjectKind::Snapshot).await?;
        let concurrency = self.store.capability().concurrent_requests_max.clamp(1, 16);
        let ids: Vec<_> = listing
            .objects
            .iter()
            .map(|info| SnapshotId(info.name.id()))
            .collect();
        let mut read = stream::iter(
            ids.into_iter()
                .map(|id| async move { (id, self.get_snapshot(id).await) }),
        )
        .buffer_unordered(concurrency);
        let mut result = SnapshotListing {
            foreign: listing.foreign,
            ..SnapshotListing::default()
        };
        while let Some((id, object)) = read.next().await {
            match object {
                Ok(SnapshotObject::Manifest(manifest)) => result.snapshots.push((id, *manifest)),
                Ok(SnapshotObject::Fence(_)) => result.fences.push(id),
                Err(error) if error.is_damage() => result.unreadable.push((id, error)),
                Err(error) => return Err(error),
            }
        }
        // ISO 8601 in UTC with a fixed number of digits sorts as time does; the id makes the order the same everywhere.
        result
            .snapshots
            .sort_by(|(one, a), (two, b)| a.time.cmp(&b.time).then(one.cmp(two)));
        Ok(result)
    }
}
