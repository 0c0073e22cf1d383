// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One run of a backup: open a session, load what is known, start the stages, commit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use duplicati_engine::{
    clock::{Clock, Timestamp},
    compaction::{Referenced, TreeScan},
    crypto::secret::random_id,
    format::{chunk_list::ChunkList, manifest::Manifest, path_text::PathText},
    id::SnapshotId,
    index::{SkipTable, local::LocalState},
    repository::{FrameReader, Repository},
    snapshot::TreeReader,
    source::AdvisoryLocking,
};
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    batches::BuiltTree,
    chunker,
    committer::{self, Commit, commit},
    frame_filler::FrameFiller,
    indexer,
    known_state::{KnownState, load_known_state},
    options::{BackupOptions, BackupReport},
    packer,
    parent::{BrokenPacks, ParentTree},
    sealer,
    skip::{self, Skip},
    tree_builder, uploader, walker, wiring,
};
use crate::{
    buffers::BufferPool,
    byte_budget::ByteBudget,
    compact::sessions::{self, session_name},
    control::{RunControl, guarded},
    error::RunError,
    events::{Monitor, Phase, Severity},
    inlet::inlet,
    stage::Worker,
    supervisor::{self, StagePlan},
};

/// Times that a run whose session was ended by others tries to commit.
const COMMITS_MAX: u32 = 5;

/// Makes a backup and commits its snapshot.
///
/// # Errors
/// The first cause; then no snapshot was made, what was stored is used by the next run, and everything that existed still does.
pub async fn run_backup(
    repository: Arc<Repository>,
    local: LocalState,
    options: BackupOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<BackupReport, RunError> {
    let options = Arc::new(options);
    let begin = clock.now();
    monitor.progress.set_phase(Phase::Opening);
    let mut id = SnapshotId(random_id()?);
    let skip_table = skip::open_table(&repository, &local, &options)?;
    let mut run = Attempts {
        skip_table: skip_table.clone(),
        repository: &repository,
        machine: local.machine()?,
        options: &options,
        begin,
        clock: &clock,
        monitor: &monitor,
        control: &control,
        commit_begun: Arc::new(AtomicBool::new(false)),
        is_segment_unheard: Arc::default(),
        parent: None,
        broken: BrokenPacks::default(),
    };
    let outcome = run.until_committed(local, &mut id).await;
    let is_unheard = run.commit_begun.load(Ordering::SeqCst) || run.is_segment_unheard.load(Ordering::SeqCst);
    if !options.dry_run && !is_unheard {
        // No manifest and no segment was sent of which nothing was heard, and nothing of this run is left at work: the session may go. A crash leaves it to a collector's fence, and so does a
        // commit of which nothing was heard: it may happen yet, and without the session nobody would wait for it (P-10).
        control.tidy_up(close_unused_session(&repository, id)).await;
    }
    let parent = run.parent;
    let progress = monitor.progress.snapshot();
    if let Some(table) = skip_table {
        table.finish(outcome.is_ok() && skip::is_complete(&options, &progress));
    }
    let committed = outcome?;
    let session = session_name(id);
    let closing = repository.store.delete(&session);
    if committed && let Some(Err(error)) = control.tidy_up(closing).await {
        tracing::debug!(%error, "a finished session stays for the next collection");
    }
    monitor.progress.set_phase(Phase::Done);
    Ok(BackupReport {
        snapshot: committed.then_some(id),
        parent,
        unchanged: progress.is_unchanged(),
        partial: progress.cut_off > 0,
        missing_sources: options.missing_sources + progress.missing_sources,
        progress,
    })
}

/// The tries of one run to commit, each under a session of its own.
struct Attempts<'a> {
    /// With a key that opens no tree.
    skip_table: Option<Arc<SkipTable>>,
    repository: &'a Arc<Repository>,
    machine: String,
    options: &'a Arc<BackupOptions>,
    begin: Timestamp,
    clock: &'a Arc<dyn Clock>,
    monitor: &'a Monitor,
    control: &'a RunControl,
    /// Whether a manifest was sent of which nothing was heard.
    commit_begun: Arc<AtomicBool>,
    /// Whether an index segment was.
    is_segment_unheard: Arc<AtomicBool>,
    /// The version that was compared with first.
    parent: Option<SnapshotId>,
    /// Packs found damaged while the parent was read.
    broken: BrokenPacks,
}

impl Attempts<'_> {
    /// Opens a session under `id` and works until its manifest stands; says whether there was anything to commit. `id` is the last session that was opened.
    async fn until_committed(
        &mut self,
        mut local: LocalState,
        id: &mut SnapshotId,
    ) -> Result<bool, RunError> {
        // S-2: first the session, then the plans, then the index; so a collector and this run see each other.
        if !self.options.dry_run {
            self.control.until_tripped(self.open_session(*id)).await??;
            let ending = end_stale_sessions(self.repository, &self.machine, *id, self.monitor);
            self.control.until_tripped(ending).await??;
        }
        let mut state = self.load_known_state(&mut local).await?;
        self.parent = state.parent.as_ref().map(|(id, _)| *id);
        let mut fenced: Option<Box<Manifest>> = None;
        for _ in 0..COMMITS_MAX {
            let end = match fenced.take() {
                // What an ended session has stored may do as it is, if nothing of it was collected meanwhile.
                Some(manifest)
                    if self
                        .control
                        .until_tripped(is_whole(self.repository, &state, &manifest))
                        .await?? =>
                {
                    let committing = commit(self.repository, *id, manifest, &self.commit_begun, self.monitor);
                    StagesEnd {
                        local,
                        commit: self.control.until_tripped(committing).await??,
                    }
                }
                again => {
                    if again.is_some() {
                        self.start_over()?;
                    }
                    self.run_stages(local, state, *id).await?
                }
            };
            let broken = self.broken.take();
            if !broken.is_empty() {
                // What was taken for stored in them is stored again; else the new version would be as broken as the one before.
                local = end.local;
                local.note_read_packs(&broken, &[])?;
                self.start_over()?;
                state = self.load_known_state(&mut local).await?;
                continue;
            }
            let Commit::Fenced(manifest) = end.commit else {
                return Ok(matches!(end.commit, Commit::Done));
            };
            self.monitor.tell(
                Severity::Information,
                "SessionFenced",
                id.to_string().as_bytes(),
                "another machine took this run for dead; what it stored is looked at again, and it goes on under a new name",
            );
            self.control
                .tidy_up(close_unused_session(self.repository, *id))
                .await;
            self.control.check()?;
            // S-2 once more, under the new name.
            local = end.local;
            *id = SnapshotId(random_id()?);
            self.control.until_tripped(self.open_session(*id)).await??;
            state = self.load_known_state(&mut local).await?;
            fenced = Some(manifest);
        }
        Err(RunError::Refused(format!(
            "other machines ended this run {COMMITS_MAX} times before it was committed; give a longer --session-age-max where they compact, then back up \
             again"
        )))
    }

    fn start_over(&self) -> Result<(), RunError> {
        if self.options.stdin.is_some() {
            return Err(RunError::Refused(
                "another machine took this run for dead and deleted part of what it had stored, and standard input cannot be read again; run the backup \
                 again"
                    .to_owned(),
            ));
        }
        self.monitor.progress.start_over();
        Ok(())
    }

    async fn load_known_state(&self, local: &mut LocalState) -> Result<KnownState, RunError> {
        let loading = load_known_state(self.repository, local, self.options, self.monitor);
        self.control.until_tripped(loading).await?
    }

    async fn open_session(&self, id: SnapshotId) -> Result<(), RunError> {
        let BackupOptions { host, program, .. } = &**self.options;
        // Now, not when the run began: a session that is opened anew must not be old from its first moment.
        let started = self.clock.now();
        sessions::put_session(self.repository, id, host, program, &self.machine, started).await
    }

    /// Runs all stages to their end.
    async fn run_stages(
        &self,
        local: LocalState,
        state: KnownState,
        id: SnapshotId,
    ) -> Result<StagesEnd, RunError> {
        let (repository, options) = (self.repository, self.options);
        let (clock, monitor, control) = (self.clock, self.monitor, self.control);
        let KnownState {
            known,
            remembered,
            parent,
            tree_index,
        } = state;
        let runtime = Handle::current();
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            chosen => chosen,
        };
        let budget_bytes =
            wiring::budget_bytes(options.pack_size_bytes, repository.chunker.size_max(), workers);
        let budget = ByteBudget::measured(budget_bytes, control);
        let window = ByteBudget::new(wiring::WINDOW_BATCHES, control);
        let raw_buffers = BufferPool::new(wiring::SEALER_CAPACITY_ITEMS + workers);
        let sealed_buffers = BufferPool::new(wiring::PACKER_CAPACITY_ITEMS + workers);
        let pack_buffers = BufferPool::new(2);

        // From the last stage to the first.
        let (indexed_sender, indexed) = oneshot::channel();
        let (tree_sender, tree) = oneshot::channel();
        let (committed_sender, mut committed) = oneshot::channel();
        let (indexer_inlet, indexer_outlet) = inlet(indexer::NAME, wiring::INDEXER_CAPACITY_ITEMS, control);
        let (uploader_inlet, uploader_outlet) =
            inlet(uploader::NAME, wiring::UPLOADER_CAPACITY_ITEMS, control);
        let (packer_inlet, packer_outlet) = inlet(packer::NAME, wiring::PACKER_CAPACITY_ITEMS, control);
        let (sealer_inlet, sealer_outlet) = inlet(sealer::NAME, wiring::SEALER_CAPACITY_ITEMS, control);
        let (builder_inlet, builder_outlet) =
            inlet(tree_builder::NAME, wiring::TREE_BUILDER_CAPACITY_ITEMS, control);
        let (chunker_inlet, chunker_outlet) = inlet(chunker::NAME, wiring::CHUNKER_CAPACITY_ITEMS, control);

        let filler = || FrameFiller::new(sealer_inlet.clone(), budget.clone(), raw_buffers.clone());
        let parent_tree = parent.as_ref().map(|(_, manifest)| {
            let tree = TreeReader::new(Arc::clone(repository), tree_index, wiring::PARENT_CACHE_BYTES);
            let parent = ParentTree {
                tree: Arc::new(tree),
                runtime: runtime.clone(),
                known: Arc::clone(&known),
                of_this_host: manifest.host == options.host,
                broken: self.broken.clone(),
                control: control.clone(),
                monitor: monitor.clone(),
            };
            (parent, ChunkList::from(manifest.root.clone()))
        });

        let skip = self
            .skip_table
            .as_ref()
            .map(|table| Skip::new(table, &known, options));

        let mut stages = Vec::new();
        let mut stage = |name, workers: Vec<Worker>| stages.push(StagePlan { name, workers });
        let committing = committer::Committer {
            repository: Arc::clone(repository),
            id,
            tree,
            indexed,
            manifest: manifest_maker(
                repository,
                options,
                parent.as_ref().map(|(id, _)| *id),
                self.begin,
                clock,
                monitor,
                self.broken.clone(),
            ),
            done: committed_sender,
            begun: Arc::clone(&self.commit_begun),
            monitor: monitor.clone(),
        };
        let indexing = indexer::Indexer {
            repository: Arc::clone(repository),
            local,
            remembered,
            packs: indexer_outlet,
            done: indexed_sender,
            runtime: runtime.clone(),
            control: control.clone(),
            monitor: monitor.clone(),
            is_unheard: Arc::clone(&self.is_segment_unheard),
            dry_run: options.dry_run,
            is_unnoted_told: false,
        };
        stage(indexer::NAME, vec![Worker::thread(move || indexing.run())]);
        let uploads = options.uploads.clamp(1, 64);
        stage(
            uploader::NAME,
            (0..uploads)
                .map(|_| {
                    let uploading = uploader::Uploader {
                        repository: Arc::clone(repository),
                        packs: uploader_outlet.clone(),
                        indexer: indexer_inlet.clone(),
                        pack_buffers: pack_buffers.clone(),
                        control: control.clone(),
                        monitor: monitor.clone(),
                        dry_run: options.dry_run,
                    };
                    Worker::task(uploading.run())
                })
                .collect(),
        );
        drop((indexer_inlet, uploader_outlet));
        let packing = packer::Packer {
            repository: Arc::clone(repository),
            pack_size_bytes: options.pack_size_bytes,
            verify: options.verify_packs,
            frames: packer_outlet,
            uploader: uploader_inlet,
            sealed_buffers: sealed_buffers.clone(),
            pack_buffers,
        };
        stage(packer::NAME, vec![Worker::thread(move || packing.run())]);
        stage(
            sealer::NAME,
            (0..workers)
                .map(|_| {
                    let sealing = sealer::Sealer {
                        level: options.zstd_level,
                        verify: options.verify_packs,
                        frames: sealer_outlet.clone(),
                        packer: packer_inlet.clone(),
                        raw_buffers: raw_buffers.clone(),
                        sealed_buffers: sealed_buffers.clone(),
                        monitor: monitor.clone(),
                    };
                    Worker::thread(move || sealing.run())
                })
                .collect(),
        );
        drop((sealer_outlet, packer_inlet));
        let building = tree_builder::TreeBuilder {
            repository: Arc::clone(repository),
            known: Arc::clone(&known),
            batches: builder_outlet,
            frames: filler(),
            done: tree_sender,
            discard_if_unchanged: parent
                .as_ref()
                // What another machine or job keeps, it also removes by rules of its own.
                .filter(|(_, manifest)| {
                    !options.commit_unchanged
                        && manifest.complete
                        && manifest.host == options.host
                        && manifest.name == options.name
                        && manifest.sources.iter().map(|path| &path.0).eq(&options.sources)
                })
                .map(|(_, manifest)| manifest.control_files.clone()),
            monitor: monitor.clone(),
        };
        stage(tree_builder::NAME, vec![Worker::thread(move || building.run())]);
        stage(
            chunker::NAME,
            (0..workers)
                .map(|_| {
                    let chunking = chunker::Chunker {
                        repository: Arc::clone(repository),
                        known: Arc::clone(&known),
                        batches: chunker_outlet.clone(),
                        tree_builder: builder_inlet.clone(),
                        frames: filler(),
                        skip: skip.clone(),
                        parent: parent_tree.as_ref().map(|(parent, _)| parent.clone()),
                        locking: if options.honour_locks {
                            AdvisoryLocking::Respect
                        } else {
                            AdvisoryLocking::Ignore
                        },
                        skip_metadata: options.skip_metadata,
                        honour_exclusion_xattr: options.honour_exclusion_xattr,
                        clock: Arc::clone(clock),
                        control: control.clone(),
                        monitor: monitor.clone(),
                    };
                    Worker::thread(move || chunking.run())
                })
                .collect(),
        );
        drop((chunker_outlet, builder_inlet));
        let walking = walker::WalkerArguments {
            options: Arc::clone(options),
            parent: parent_tree,
            skip,
            chunker: chunker_inlet,
            window,
            control: control.clone(),
            monitor: monitor.clone(),
        };
        stage(walker::NAME, vec![Worker::thread(move || walker::run(walking))]);
        drop(sealer_inlet);

        monitor.progress.set_phase(Phase::Working);
        supervisor::run(stages, control).await?;
        // Only now, and not as one more stage: a worker that fails closes its inlet before the run hears of the failure, and to the stages behind it that looks
        // like the end of the stream.
        guarded(committing.run(), control.clone())
            .await
            .map_err(|error| control.cause().unwrap_or(error))?;
        let committed = committed.try_recv().map_err(|_| RunError::Check {
            stage: committer::NAME,
            message: "the run ended without a word from it".to_owned(),
        })?;
        Ok(StagesEnd {
            local: committed.local,
            commit: committed.commit,
        })
    }
}

/// How the stages ended.
struct StagesEnd {
    local: LocalState,
    commit: Commit,
}

/// Whether everything that a snapshot needs is in packs that stay, as far as the key at hand can see.
async fn is_whole(
    repository: &Arc<Repository>,
    state: &KnownState,
    manifest: &Manifest,
) -> Result<bool, RunError> {
    if !repository.data.can_open() {
        return Ok(false);
    }
    let frames = FrameReader::new(
        Arc::clone(repository),
        Arc::clone(&state.tree_index),
        wiring::PARENT_CACHE_BYTES,
    );
    let mut is_whole = true;
    let mut each = |reference: Referenced<'_>| match reference {
        Referenced::Chunk(_, chunk) => is_whole &= state.known.contains(chunk),
        Referenced::Unreadable(..) => is_whole = false,
    };
    let mut scan = TreeScan::new();
    scan.add_directory(&ChunkList::from(manifest.root.clone()), &mut each);
    for file in &manifest.control_files {
        let list = ChunkList {
            depth: file.depth,
            ids: file.ids.clone(),
        };
        scan.add_file(&list, &mut each);
    }
    scan.run(&frames, &mut each).await?;
    Ok(is_whole)
}

/// Ends the sessions that earlier runs with this local database left behind when they were killed. One run at a time uses a database; should a copy of it be
/// at work elsewhere, that run finds its name taken and goes on under another one (S-3).
async fn end_stale_sessions(
    repository: &Repository,
    machine: &str,
    own: SnapshotId,
    monitor: &Monitor,
) -> Result<(), RunError> {
    let ended = sessions::end_stale(repository, Some(own), machine).await?;
    if ended > 0 {
        monitor.tell(
            Severity::Information,
            "StaleSessionsEnded",
            b"",
            format!("{ended} sessions of earlier runs that were cut off are over now"),
        );
    }
    Ok(())
}

/// Removes a session that cannot commit any more. If the manifest exists after all, the session is over anyway.
async fn close_unused_session(repository: &Repository, id: SnapshotId) {
    if let Err(error) = repository.store.delete(&session_name(id)).await {
        tracing::debug!(%error, "an unused session stays for the next collection");
    }
}

type ManifestMaker = Box<dyn FnOnce(BuiltTree) -> Option<Manifest> + Send>;

fn manifest_maker(
    repository: &Arc<Repository>,
    options: &Arc<BackupOptions>,
    parent: Option<SnapshotId>,
    begin: Timestamp,
    clock: &Arc<dyn Clock>,
    monitor: &Monitor,
    broken: BrokenPacks,
) -> ManifestMaker {
    let (options, clock) = (Arc::clone(options), Arc::clone(clock));
    let monitor = monitor.clone();
    let repository_id = repository.config.repository_id;
    Box::new(move |tree| {
        let progress = monitor.progress.snapshot();
        if options.dry_run || tree.unchanged || !broken.is_empty() {
            return None;
        }
        Some(Manifest {
            version: 1,
            kind: "manifest".to_owned(),
            id: None,
            repository_id,
            time: text_time(begin),
            finished: text_time(clock.now()),
            host: options.host.clone(),
            user: options.user.clone(),
            program: options.program.clone(),
            name: options.name.clone(),
            tags: options.tags.clone(),
            sources: options
                .sources
                .iter()
                .chain(&options.stdin)
                .map(|path| PathText(path.clone()))
                .collect(),
            complete: progress.cut_off == 0,
            root: tree.root.into(),
            parent,
            totals: tree.totals,
            statistics: serde_json::to_value(progress).unwrap_or_default(),
            control_files: tree.control_files,
        })
    })
}

/// ISO 8601 in UTC with nine digits of a second, which sorts as time does.
pub(crate) fn text_time(time: Timestamp) -> String {
    duplicati_engine::clock::text(time)
}
