// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One run of a backup: open a session, load what is known, start the stages, commit.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    clock::{Clock, Timestamp},
    compaction::{Referenced, TreeScan},
    crypto::secret::random_id,
    format::{
        chunk_list::ChunkList,
        codec::Decoder,
        index_segment::PackDescription,
        manifest::{Manifest, encode_json},
        pack::PackClass,
        path_text::PathText,
        session::{Plan, Session},
    },
    id::{PackId, SnapshotId},
    index::{ChunkIndex, ChunkSet, local::LocalState},
    repository::{FrameReader, Repository, SnapshotListing},
    snapshot::TreeReader,
    source::AdvisoryLocking,
    storage::{ObjectKind, ObjectName, StoreErrorKind},
};
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    batches::BuiltTree,
    chunker,
    committer::{self, Commit, commit},
    frame_filler::FrameFiller,
    indexer,
    options::{BackupOptions, BackupReport},
    packer,
    parent::ParentTree,
    sealer, tree_builder, uploader, walker, wiring,
};
use crate::{
    buffers::BufferPool,
    byte_budget::ByteBudget,
    compact::sessions,
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    inlet::inlet,
    stage::Worker,
    supervisor::{self, StagePlan},
};

/// What the repository already has.
struct KnownState {
    known: Arc<ChunkSet>,
    remembered: Vec<(PackId, Vec<u8>)>,
    parent: Option<(SnapshotId, Manifest)>,
    tree_index: Arc<ChunkIndex>,
}

/// Times that a run whose session was ended by others tries to commit.
const COMMITS_MAX: u32 = 5;

/// Makes a backup and commits its snapshot.
///
/// # Errors
/// The first cause; then no snapshot was made, what was stored is used by the next run, and everything that existed still does.
pub async fn run_backup(
    repository: Arc<Repository>,
    mut local: LocalState,
    options: BackupOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<BackupReport, RunError> {
    let options = Arc::new(options);
    let begin = clock.now();
    monitor.progress.set_phase(Phase::Opening);
    // S-2: first the session, then the plans, then the index; so a collector and this run see each other.
    let id = SnapshotId(random_id()?);
    let machine = local.machine()?;
    if !options.dry_run {
        open_session(&repository, machine.clone(), &options, id, begin).await?;
    }
    if !options.dry_run {
        end_stale_sessions(&repository, &machine, id, &monitor).await?;
    }
    let mut state = load_known_state(&repository, &mut local, &options, &monitor).await?;
    let parent_id = state.parent.as_ref().map(|(id, _)| *id);
    let mut id = id;
    let mut fenced: Option<Box<Manifest>> = None;
    let mut attempts = 0;
    let outcome = loop {
        // What an ended session has stored may do as it is, if nothing of it was collected meanwhile.
        let end = match fenced.take() {
            Some(manifest) if is_whole(&repository, &state, &manifest).await? => {
                commit(&repository, id, manifest, &monitor)
                    .await
                    .map(|commit| StagesEnd { local, commit })
            }
            again => {
                if again.is_some() {
                    if options.stdin.is_some() {
                        break Err(RunError::Refused(
                            "another machine took this run for dead and deleted part of what it had stored, and standard input cannot be read again; run \
                             the backup again"
                                .to_owned(),
                        ));
                    }
                    monitor.progress.start_over();
                }
                run_stages(
                    &repository,
                    local,
                    &options,
                    state,
                    id,
                    begin,
                    &clock,
                    &monitor,
                    &control,
                )
                .await
            }
        };
        let end = match end {
            Ok(end) => end,
            Err(error) => break Err(error),
        };
        let Commit::Fenced(manifest) = end.commit else {
            break Ok(matches!(end.commit, Commit::Done));
        };
        attempts += 1;
        if attempts >= COMMITS_MAX {
            break Err(RunError::Refused(format!(
                "other machines ended this run {attempts} times before it was committed; raise the age from which they take a session for dead, then back \
                 up again"
            )));
        }
        monitor.tell(
            Severity::Information,
            "SessionFenced",
            id.to_string().as_bytes(),
            "another machine took this run for dead; what it stored is looked at again, and it goes on under a new name",
        );
        close_unused_session(&repository, id).await;
        control.check()?;
        // S-2 once more, under the new name.
        local = end.local;
        id = SnapshotId(random_id()?);
        open_session(&repository, machine.clone(), &options, id, begin).await?;
        state = load_known_state(&repository, &mut local, &options, &monitor).await?;
        fenced = Some(manifest);
    };
    if !options.dry_run && !matches!(&outcome, Ok(true)) {
        // Nothing was committed and nothing of this run is left at work: the session may go. A crash leaves it to a collector's fence.
        close_unused_session(&repository, id).await;
    }
    let committed = outcome?;
    let unchanged = monitor.progress.snapshot().is_unchanged();
    if committed && let Err(error) = repository.store.delete(&session_name(id)).await {
        tracing::debug!(%error, "a finished session stays for the next collection");
    }
    monitor.progress.set_phase(Phase::Done);
    Ok(BackupReport {
        snapshot: committed.then_some(id),
        parent: parent_id,
        unchanged,
        partial: control.is_finishing_early(),
        missing_sources: Vec::new(),
        progress: monitor.progress.snapshot(),
    })
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

fn session_name(id: SnapshotId) -> ObjectName {
    ObjectName::of(ObjectKind::Session, id.0)
}

async fn open_session(
    repository: &Repository,
    machine: String,
    options: &BackupOptions,
    id: SnapshotId,
    begin: Timestamp,
) -> Result<(), RunError> {
    let session = Session {
        version: 1,
        repository_id: repository.config.repository_id,
        started: text_time(begin),
        host: options.host.clone(),
        program: options.program.clone(),
        machine,
    };
    repository
        .put_object(&session_name(id), &repository.index, &encode_json(&session))
        .await?;
    Ok(())
}

/// Removes a session that cannot commit any more. If the manifest exists after all, the session is over anyway.
async fn close_unused_session(repository: &Repository, id: SnapshotId) {
    if let Err(error) = repository.store.delete(&session_name(id)).await {
        tracing::debug!(%error, "an unused session stays for the next collection");
    }
}

async fn load_known_state(
    repository: &Arc<Repository>,
    local: &mut LocalState,
    options: &BackupOptions,
    monitor: &Monitor,
) -> Result<KnownState, RunError> {
    let condemned = condemned_packs(repository).await?;
    // Only packs that the target lists in full are deduplicated against: what an index says of others would become a hole. So the next
    // backup also replaces what a lost pack held, as far as the sources still have it.
    let packs = repository.store.list(ObjectKind::Pack).await?.objects;
    let packs: HashMap<PackId, u64> = packs
        .into_iter()
        .map(|info| (PackId(info.name.id()), info.size_bytes))
        .collect();
    let damaged = local.damaged_packs()?;
    let (mut absent, mut doubtful) = (0u64, 0u64);
    let can_read = repository.data.can_open();
    let parent = match can_read {
        true => choose_parent(repository.list_snapshots().await?, options),
        false => None,
    };
    let known = Arc::new(ChunkSet::default());
    let mut tree_index = ChunkIndex::new();
    let mut take = |pack: PackDescription| {
        if condemned.contains(&pack.id) {
            return;
        }
        if packs.get(&pack.id) != Some(&pack.object_size_bytes) {
            absent += 1;
            return;
        }
        if damaged.contains(&pack.id) {
            doubtful += 1;
            return;
        }
        for frame in &pack.footer.frames {
            for (id, _) in &frame.chunks {
                known.insert(id);
            }
        }
        // Trees are all that a backup reads back: the parent's, and its own when its session was ended.
        if can_read && pack.footer.class == PackClass::Tree {
            tree_index.add(&pack);
        }
    };
    let loaded = repository.load_index(Some(local), |_, pack| take(pack)).await?;
    for (id, error) in &loaded.unreadable {
        let message =
            format!("an index segment cannot be read, its chunks are stored again; run `repair`: {error}");
        monitor.tell(
            Severity::Warning,
            "IndexSegmentUnreadable",
            ObjectName::from(*id).to_string().as_bytes(),
            message,
        );
    }
    let mut remembered = Vec::new();
    let mut settled = Vec::new();
    let stored = local.stored_packs()?;
    for (id, description) in stored {
        let decoded = PackDescription::decode(&mut Decoder::new("remembered pack", &description));
        // Only what the target really has is believed (S-5).
        let is_usable = !condemned.contains(&id) && decoded.as_ref().is_ok_and(|pack| pack.id == id);
        match decoded {
            Ok(pack) if is_usable && packs.get(&id) == Some(&pack.object_size_bytes) => {
                take(pack);
                remembered.push((id, description));
            }
            _ => settled.push(id),
        }
    }
    if absent > 0 {
        let message = format!(
            "{absent} packs that the index names are missing or cut off at the target; `test` says which files they cost"
        );
        monitor.tell(Severity::Warning, "PacksMissing", b"", message);
    }
    if doubtful > 0 {
        let message = format!(
            "{doubtful} packs were found damaged before; what the sources still have of them is stored again. Run `repair`: it saves what still opens, and \
             no other machine uses them any more"
        );
        monitor.tell(Severity::Warning, "PacksDamaged", b"", message);
    }
    local.remove_stored_packs(&settled)?;
    Ok(KnownState {
        known,
        remembered,
        parent,
        tree_index: Arc::new(tree_index),
    })
}

/// Packs that some collector means to delete.
async fn condemned_packs(repository: &Repository) -> Result<HashSet<PackId>, RunError> {
    let mut condemned = HashSet::new();
    for info in repository.store.list(ObjectKind::Plan).await?.objects {
        match repository.get_object(&info.name, &repository.index).await {
            Ok(content) => match serde_json::from_slice::<Plan>(&content) {
                Ok(plan) if plan.version == 1 => condemned.extend(plan.packs),
                _ => return Err(unreadable_plan(&info.name)),
            },
            // Carried out and removed since the listing.
            Err(duplicati_engine::repository::RepositoryError::Store(error))
                if error.kind == StoreErrorKind::NotFound => {}
            Err(error) if error.is_damage() => return Err(unreadable_plan(&info.name)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(condemned)
}

fn unreadable_plan(name: &ObjectName) -> RunError {
    // Without knowing what it condemns, every known chunk might be about to go.
    RunError::Refused(format!(
        "the collection plan {name} cannot be read; run `repair` to settle it, then back up again"
    ))
}

/// The newest snapshot of the same sources, else the newest of this host: its tree says which files need no reading.
fn choose_parent(listing: SnapshotListing, options: &BackupOptions) -> Option<(SnapshotId, Manifest)> {
    let sources: Vec<PathText> = options
        .sources
        .iter()
        .map(|path| PathText(path.clone()))
        .collect();
    let mut best = None;
    for (id, manifest) in listing.snapshots {
        let rank = (manifest.sources == sources, manifest.host == options.host);
        if (rank.0 || rank.1) && best.as_ref().is_none_or(|(known, _)| rank >= *known) {
            best = Some((rank, (id, manifest)));
        }
    }
    best.map(|(_, found)| found)
}

/// Runs all stages to their end.
#[allow(
    clippy::too_many_arguments,
    reason = "called once; the run's parts as they are"
)]
async fn run_stages(
    repository: &Arc<Repository>,
    local: LocalState,
    options: &Arc<BackupOptions>,
    state: KnownState,
    id: SnapshotId,
    begin: Timestamp,
    clock: &Arc<dyn Clock>,
    monitor: &Monitor,
    control: &RunControl,
) -> Result<StagesEnd, RunError> {
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
    let budget_bytes = options.pack_size_bytes * wiring::BUDGET_PACKS + wiring::BUDGET_FRAMES_BYTES;
    let budget = ByteBudget::new(budget_bytes, control);
    let window = ByteBudget::new(wiring::WINDOW_BATCHES, control);
    let raw_buffers = BufferPool::new(wiring::SEALER_CAPACITY_ITEMS + workers);
    let sealed_buffers = BufferPool::new(wiring::PACKER_CAPACITY_ITEMS + workers);
    let pack_buffers = BufferPool::new(2);

    // From the last stage to the first.
    let (indexed_sender, indexed) = oneshot::channel();
    let (tree_sender, tree) = oneshot::channel();
    let (committed_sender, mut committed) = oneshot::channel();
    let (indexer_inlet, indexer_outlet) = inlet(indexer::NAME, wiring::INDEXER_CAPACITY_ITEMS, control);
    let (uploader_inlet, uploader_outlet) = inlet(uploader::NAME, wiring::UPLOADER_CAPACITY_ITEMS, control);
    let (packer_inlet, packer_outlet) = inlet(packer::NAME, wiring::PACKER_CAPACITY_ITEMS, control);
    let (sealer_inlet, sealer_outlet) = inlet(sealer::NAME, wiring::SEALER_CAPACITY_ITEMS, control);
    let (builder_inlet, builder_outlet) =
        inlet(tree_builder::NAME, wiring::TREE_BUILDER_CAPACITY_ITEMS, control);
    let (chunker_inlet, chunker_outlet) = inlet(chunker::NAME, wiring::CHUNKER_CAPACITY_ITEMS, control);

    let filler = |class, compressible| {
        FrameFiller::new(
            class,
            compressible,
            sealer_inlet.clone(),
            budget.clone(),
            raw_buffers.clone(),
        )
    };
    let parent_tree = parent.as_ref().map(|(_, manifest)| {
        let tree = TreeReader::new(Arc::clone(repository), tree_index, wiring::PARENT_CACHE_BYTES);
        let parent = ParentTree {
            tree: Arc::new(tree),
            runtime: runtime.clone(),
            known: Arc::clone(&known),
            monitor: monitor.clone(),
        };
        (parent, ChunkList::from(manifest.root.clone()))
    });

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
            begin,
            clock,
            monitor,
            control,
        ),
        done: committed_sender,
        monitor: monitor.clone(),
    };
    stage(
        committer::NAME,
        vec![Worker::task(guarded(committing.run(), control.clone()))],
    );
    let indexing = indexer::Indexer {
        repository: Arc::clone(repository),
        local,
        remembered,
        packs: indexer_outlet,
        done: indexed_sender,
        runtime: runtime.clone(),
        monitor: monitor.clone(),
        dry_run: options.dry_run,
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
        frames: filler(PackClass::Tree, true),
        done: tree_sender,
        discard_if_unchanged: parent.is_some() && !options.commit_unchanged,
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
                    text: filler(PackClass::Data, true),
                    noise: filler(PackClass::Data, false),
                    lists: filler(PackClass::Tree, true),
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
        chunker: chunker_inlet,
        window,
        control: control.clone(),
        monitor: monitor.clone(),
    };
    stage(walker::NAME, vec![Worker::thread(move || walker::run(walking))]);
    drop(sealer_inlet);

    monitor.progress.set_phase(Phase::Working);
    supervisor::run(stages, control).await?;
    let committed = committed.try_recv().map_err(|_| RunError::Check {
        stage: committer::NAME,
        message: "the run ended without a word from it".to_owned(),
    })?;
    Ok(StagesEnd {
        local: committed.local,
        commit: committed.commit,
    })
}

/// Ends a task when the run is over early, whatever it waits for.
async fn guarded(
    work: impl Future<Output = Result<(), RunError>>,
    control: RunControl,
) -> Result<(), RunError> {
    tokio::select! {
        outcome = work => outcome,
        () = control.tripped() => Err(RunError::Interrupted),
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
    control: &RunControl,
) -> ManifestMaker {
    let (options, clock) = (Arc::clone(options), Arc::clone(clock));
    let (monitor, control) = (monitor.clone(), control.clone());
    let repository_id = repository.config.repository_id;
    Box::new(move |tree| {
        let progress = monitor.progress.snapshot();
        let nothing_new = parent.is_some() && progress.is_unchanged() && !options.commit_unchanged;
        if options.dry_run || nothing_new {
            return None;
        }
        Some(Manifest {
            version: 1,
            kind: "manifest".to_owned(),
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
                .map(|path| PathText(path.clone()))
                .collect(),
            complete: !control.is_finishing_early(),
            root: tree.root.into(),
            parent,
            totals: tree.totals,
            statistics: serde_json::to_value(progress).unwrap_or_default(),
            control_files: Vec::new(),
        })
    })
}

/// ISO 8601 in UTC with nine digits of a second, which sorts as time does.
pub(crate) fn text_time(time: Timestamp) -> String {
    duplicati_engine::clock::text(time)
}
