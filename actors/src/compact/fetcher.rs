// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fetches the needed frames of packs, neighbouring ones together.
//!
//! In: `PackToMove` from the planner. Out: `Stretch` to the repacker. Waits for the target and for room in the repacker.

use std::sync::Arc;

use duplicati_engine::{
    compaction::frame_copier::{self, FetchedStretch},
    format::index_segment::PackDescription,
    repository::{Repository, RepositoryError},
};

use super::{
    planner::PackToMove,
    survey::Survey,
    wiring::{SharedMoved, note},
};
use crate::{
    error::RunError,
    events::{Monitor, Progress, Severity},
    inlet::{Inlet, Outlet, Weighed},
};

/// Name of the stage.
pub const NAME: &str = "fetcher";

/// Frames of one pack as they came.
pub struct PackStretch {
    /// The pack.
    pub pack: Arc<PackDescription>,
    /// Its frames.
    pub fetched: FetchedStretch,
}

impl Weighed for PackStretch {
    fn weight_bytes(&self) -> u64 {
        self.fetched.stretch.range.end - self.fetched.stretch.range.start
    }
}

/// What a fetcher works with.
pub struct Fetcher {
    /// Where packs are.
    pub repository: Arc<Repository>,
    /// What is needed.
    pub survey: Arc<Survey>,
    /// Packs to fetch.
    pub packs: Outlet<PackToMove>,
    /// The next stage.
    pub repacker: Inlet<PackStretch>,
    /// The result.
    pub moved: SharedMoved,
    /// Counters.
    pub monitor: Monitor,
}

impl Fetcher {
    /// Works until the stream ends. A pack that is damaged is left where it is (S-7).
    pub async fn run(self) -> Result<(), RunError> {
        while let Some(PackToMove(pack)) = self.packs.receive().await? {
            match self.fetch(&pack).await {
                Ok(()) => {}
                Err(RunError::Repository(error)) if error.is_damage() => {
                    fail(&self.moved, &self.monitor, &pack, &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn fetch(&self, pack: &Arc<PackDescription>) -> Result<(), RunError> {
        let stretches = frame_copier::stretches(pack, |frame| self.survey.is_frame_wanted(pack.id, frame));
        if stretches.is_empty() {
            return Ok(());
        }
        let key = frame_copier::pack_key(&self.repository, pack).await?;
        for stretch in stretches {
            let fetched = frame_copier::fetch(&self.repository, pack, &key, stretch).await?;
            let progress = &self.monitor.progress;
            Progress::add(&progress.fetched_objects, 1);
            let bytes = fetched.stretch.range.end - fetched.stretch.range.start;
            Progress::add(&progress.fetched_bytes, bytes);
            let pack = Arc::clone(pack);
            self.repacker.send(PackStretch { pack, fetched }).await?;
        }
        Ok(())
    }
}

/// Notes that a pack cannot be moved; it is not deleted.
pub fn fail(moved: &SharedMoved, monitor: &Monitor, pack: &PackDescription, error: &RepositoryError) {
    let text = error.to_string();
    monitor.tell(
        Severity::Error,
        "PackDamaged",
        pack.id.to_string().as_bytes(),
        format!("{text}; the pack stays as it is"),
    );
    note(moved, |moved| {
        moved.failed.insert(pack.id, text);
    });
}
