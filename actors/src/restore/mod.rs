// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Restoring a snapshot, or part of it.
//!
//! ```text
//! planner ──(8)──▶ fetcher ──(2)──▶ writer ──(end)──▶ finisher
//! ```
//!
//! The planner walks the tree in order, makes folders and links at once, and gathers the chunks of files in a window that it groups by pack;
//! fetchers read each frame of the window once; writers unseal, decompress, check and write, and complete each file; the finisher
//! walks the tree again for hard links and for the metadata of folders, deepest first. Nothing is held for every entry of a snapshot
//! except the first names of hard links.
//!
//! An entry that cannot be restored is an event and a count. Only a target or repository that fails as a whole ends the run.

mod batches;
mod context;
mod existing;
mod fetcher;
mod finisher;
mod planner;
mod prefix;
pub mod wiring;
mod writer;

use std::{path::PathBuf, sync::Arc};

use duplicati_engine::{
    format::{chunk_list::ChunkList, manifest::Manifest},
    index::ChunkIndex,
    repository::Repository,
    restore::{RestoreOptions, RestoreReport, selection::Selector, target::Target},
    snapshot::TreeReader,
};

use self::context::Context;
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase},
    supervisor,
};

/// What is to be restored from where.
pub struct RestoreRequest {
    /// The repository.
    pub repository: Arc<Repository>,
    /// Its index.
    pub index: Arc<ChunkIndex>,
    /// Root of the snapshot's tree.
    pub root: ChunkList,
    /// What was backed up, as the manifest says: folders above are only ways to it.
    pub sources: Vec<Vec<u8>>,
    /// The version's date, `YYYY-MM-DD`, for the names of files that may not take their own.
    pub date: String,
    /// How.
    pub options: RestoreOptions,
    /// Threads that decompress and write; 0 is one for each core.
    pub writers: usize,
}

impl RestoreRequest {
    /// A request for a snapshot.
    pub fn new(
        repository: Arc<Repository>,
        index: Arc<ChunkIndex>,
        manifest: &Manifest,
        options: RestoreOptions,
    ) -> Self {
        Self {
            repository,
            index,
            root: manifest.root.clone().into(),
            sources: manifest.sources.iter().map(|path| path.0.clone()).collect(),
            date: manifest.time.chars().take(10).collect(),
            options,
            writers: 0,
        }
    }
}

/// Runs a restore to its end.
///
/// # Errors
/// When the target folder cannot be used, the repository does not answer, or the run was cancelled.
pub async fn restore(
    request: RestoreRequest,
    monitor: Monitor,
    control: RunControl,
) -> Result<RestoreReport, RunError> {
    monitor.progress.set_phase(Phase::Opening);
    let tree = TreeReader::new(request.repository, request.index, wiring::TREE_CACHE_BYTES);
    let selector = Selector::new(request.options.filter.clone(), &request.sources);
    let prefix = if request.options.target.is_some() && !request.options.keep_full_paths {
        prefix::find(&tree, &request.root, &selector, &control).await?
    } else {
        Vec::new()
    };
    let path = request
        .options
        .target
        .clone()
        .unwrap_or_else(|| PathBuf::from("/"));
    let target = if request.options.dry_run {
        None
    } else {
        let opened = Target::open(&path, request.options.allow_outside_target);
        Some(Arc::new(opened.map_err(|error| {
            RunError::Refused(format!(
                "failed to open the restore target {}: {error}",
                path.display()
            ))
        })?))
    };
    let context = Arc::new(Context::new(context::Parts {
        tree,
        root: request.root,
        selector,
        prefix,
        date: request.date,
        options: request.options,
        target,
        target_path: path,
        monitor: monitor.clone(),
        control: control.clone(),
    }));
    monitor.progress.set_phase(Phase::Working);
    let stages = wiring::stages(&context, request.writers);
    supervisor::run(stages, &control).await?;
    monitor.progress.set_phase(Phase::Done);
    let report = context.take_report();
    Ok(report)
}
