// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Capacities of the compaction pipeline, and its stages from the last to the first.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use duplicati_engine::{id::PackId, repository::Repository};

use super::{
    CompactOptions,
    fetcher::{self, Fetcher},
    planner::{self, Planner},
    repacker::{self, Repacker},
    survey::Survey,
    swapper::{self, Swapper, Uploader},
};
use crate::{
    control::{RunControl, guarded},
    error::RunError,
    events::Monitor,
    inlet::inlet,
    stage::Worker,
    supervisor::{self, StagePlan},
};

/// Packs waiting to be fetched.
pub const FETCHER_CAPACITY_ITEMS: usize = 4;
/// Stretches of up to 8 MiB waiting to be repacked.
pub const REPACKER_CAPACITY_ITEMS: usize = 2;
/// Packs waiting to be stored.
pub const UPLOADER_CAPACITY_ITEMS: usize = 1;
/// Descriptions waiting for a segment.
pub const SWAPPER_CAPACITY_ITEMS: usize = 16;
/// Packs fetched at once.
pub const FETCHERS: usize = 2;
/// Packs stored at once.
pub const UPLOADERS: usize = 2;

/// What moved.
#[derive(Default)]
pub struct Moved {
    /// Packs written.
    pub packs: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// Segments written.
    pub segments: u64,
    /// Packs that could not be read in full; they stay.
    pub failed: BTreeMap<PackId, String>,
}

/// Shared by the stages.
pub type SharedMoved = Arc<Mutex<Moved>>;

/// Changes the shared result.
pub fn note(moved: &SharedMoved, change: impl FnOnce(&mut Moved)) {
    change(&mut moved.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Moves what is needed into new packs, and describes everything that stays of the replaced segments in new ones.
pub async fn run(
    repository: &Arc<Repository>,
    survey: &Arc<Survey>,
    options: &CompactOptions,
    monitor: &Monitor,
    control: &RunControl,
) -> Result<Moved, RunError> {
    let moved = SharedMoved::default();
    let (swapper_inlet, swapper_outlet) = inlet(swapper::NAME, SWAPPER_CAPACITY_ITEMS, control);
    let (uploader_inlet, uploader_outlet) = inlet(swapper::UPLOADER_NAME, UPLOADER_CAPACITY_ITEMS, control);
    let (repacker_inlet, repacker_outlet) = inlet(repacker::NAME, REPACKER_CAPACITY_ITEMS, control);
    let (fetcher_inlet, fetcher_outlet) = inlet(fetcher::NAME, FETCHER_CAPACITY_ITEMS, control);

    let swapping = Swapper {
        repository: Arc::clone(repository),
        descriptions: swapper_outlet,
        moved: Arc::clone(&moved),
        monitor: monitor.clone(),
    };
    let uploading = || {
        let uploader = Uploader {
            repository: Arc::clone(repository),
            packs: uploader_outlet.clone(),
            swapper: swapper_inlet.clone(),
            moved: Arc::clone(&moved),
            monitor: monitor.clone(),
        };
        Worker::task(guarded(uploader.run(), control.clone()))
    };
    let uploaders = (0..UPLOADERS).map(|_| uploading()).collect();
    let repacking = Repacker {
        repository: Arc::clone(repository),
        survey: Arc::clone(survey),
        pack_size_bytes: options.pack_size_bytes,
        level: options.level,
        stretches: repacker_outlet,
        uploader: uploader_inlet,
        moved: Arc::clone(&moved),
    };
    let fetching = || {
        let fetcher = Fetcher {
            repository: Arc::clone(repository),
            survey: Arc::clone(survey),
            packs: fetcher_outlet.clone(),
            repacker: repacker_inlet.clone(),
            moved: Arc::clone(&moved),
            monitor: monitor.clone(),
        };
        Worker::task(guarded(fetcher.run(), control.clone()))
    };
    let fetchers = (0..FETCHERS).map(|_| fetching()).collect();
    let planning = Planner {
        repository: Arc::clone(repository),
        survey: Arc::clone(survey),
        fetcher: fetcher_inlet,
        swapper: swapper_inlet.clone(),
    };
    // What the stages hold now is all there is: the stream ends when the first stage is done.
    drop((swapper_inlet, uploader_outlet, repacker_inlet, fetcher_outlet));
    let stages = vec![
        StagePlan {
            name: swapper::NAME,
            workers: vec![Worker::task(guarded(swapping.run(), control.clone()))],
        },
        StagePlan {
            name: swapper::UPLOADER_NAME,
            workers: uploaders,
        },
        StagePlan {
            name: repacker::NAME,
            workers: vec![Worker::thread(move || repacking.run())],
        },
        StagePlan {
            name: fetcher::NAME,
            workers: fetchers,
        },
        StagePlan {
            name: planner::NAME,
            workers: vec![Worker::task(guarded(planning.run(), control.clone()))],
        },
    ];
    supervisor::run(stages, control).await?;
    Ok(std::mem::take(
        &mut *moved.lock().unwrap_or_else(PoisonError::into_inner),
    ))
}
