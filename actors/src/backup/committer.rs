// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only place that makes a snapshot visible: after tree, packs and index, one exclusive `put` of the manifest (S-1).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use duplicati_engine::{
    format::manifest::{Manifest, encode_json},
    id::SnapshotId,
    index::local::LocalState,
    repository::Repository,
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
    /// Whether the snapshot exists now.
    pub snapshot: bool,
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
        let manifest = (self.manifest)(tree);
        let snapshot = manifest.is_some();
        if let Some(manifest) = manifest {
            let content = encode_json(&manifest);
            self.begun.store(true, Ordering::SeqCst);
            let size = self
                .repository
                .put_object(&self.id.into(), &self.repository.data, &content)
                .await?;
            Progress::add(&self.monitor.progress.stored_objects, 1);
            Progress::add(&self.monitor.progress.stored_bytes, size);
        }
        self.done
            .send(Committed { local, snapshot })
            .map_err(|_| RunError::Interrupted)
    }
}
