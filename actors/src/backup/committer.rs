// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only place that makes a snapshot visible: after tree, packs and index, one exclusive `put` of the manifest (S-1).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use duplicati_engine::{
    format::manifest::Manifest,
    id::SnapshotId,
    index::local::LocalState,
    repository::{Repository, RepositoryError},
    storage::StoreErrorKind,
};
use tokio::sync::oneshot;

use super::batches::BuiltTree;
use crate::{
    error::RunError,
    events::{Monitor, Phase, Progress},
};

/// Name of the stage.
pub const NAME: &str = "committer";

/// What the committer decided.
pub struct Committed {
    /// The local copy, handed back.
    pub local: LocalState,
    /// What became of the snapshot.
    pub commit: Commit,
}

/// What became of a snapshot.
pub enum Commit {
    /// There was nothing to commit.
    Nothing,
    /// It exists.
    Done,
    /// Somebody ended the session before: the name is taken, and what was stored may be collected (S-3).
    Fenced(Box<Manifest>),
}

/// Puts a manifest under its session's name. `begun` is set while it may come to stand without anything being heard of it.
///
/// # Errors
/// When the target fails. A name that is taken is an answer.
pub async fn commit(
    repository: &Repository,
    id: SnapshotId,
    manifest: Box<Manifest>,
    begun: &AtomicBool,
    monitor: &Monitor,
) -> Result<Commit, RunError> {
    repository.confirm().await?;
    begun.store(true, Ordering::SeqCst);
    let commit = match repository.put_manifest(id, &manifest).await {
        Ok(size) => {
            Progress::add(&monitor.progress.stored_objects, 1);
            Progress::add(&monitor.progress.stored_bytes, size);
            return Ok(Commit::Done);
        }
        Err(error) if error.store_kind() == Some(StoreErrorKind::AlreadyExists) => {
            Ok(Commit::Fenced(manifest))
        }
        // It was never sent.
        Err(error @ RepositoryError::ManifestTooLarge { .. }) => Err(error.into()),
        Err(error) => return Err(error.into()),
    };
    begun.store(false, Ordering::SeqCst);
    commit
}

/// What the committer works with.
pub struct Committer {
    /// Where the manifest goes.
    pub repository: Arc<Repository>,
    /// The session's name.
    pub id: SnapshotId,
    /// Hears the tree.
    pub tree: oneshot::Receiver<BuiltTree>,
    /// Hears that everything is indexed.
    pub indexed: oneshot::Receiver<LocalState>,
    /// Makes the manifest of a tree; none when nothing is to be committed.
    pub manifest: Box<dyn FnOnce(BuiltTree) -> Option<Manifest> + Send>,
    /// Hears the end.
    pub done: oneshot::Sender<Committed>,
    /// Set before the manifest is sent: from then on it may come to stand, whatever is heard of it.
    pub begun: Arc<AtomicBool>,
    /// Counters.
    pub monitor: Monitor,
}

impl Committer {
    /// Waits for everything, then commits.
    pub async fn run(self) -> Result<(), RunError> {
        let tree = self.tree.await.map_err(|_| RunError::Interrupted)?;
        let local = self.indexed.await.map_err(|_| RunError::Interrupted)?;
        self.monitor.progress.set_phase(Phase::Committing);
        let commit = match (self.manifest)(tree) {
            None => Commit::Nothing,
            Some(manifest) => {
                commit(
                    &self.repository,
                    self.id,
                    Box::new(manifest),
                    &self.begun,
                    &self.monitor,
                )
                .await?
            }
        };
        self.done
            .send(Committed { local, commit })
            .map_err(|_| RunError::Interrupted)
    }
}
