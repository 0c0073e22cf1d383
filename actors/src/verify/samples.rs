// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads manifests, segments and packs from the target, a sample or all, and compares every byte's meaning with what the index says.
//!
//! One stage of tasks, each with one pack in memory; opening runs on blocking threads.

use std::sync::{Arc, Mutex, PoisonError};

use duplicati_engine::{
    clock::Clock,
    compaction::frame_copier::{self, Copied},
    compression::FrameDecompressor,
    crypto::{Envelope, age_file, secret::random_id},
    format::{
        FormatError,
        index_segment::{PackDescription, decode_segment},
        pack::PackFooter,
    },
    id::{ChunkId, PackId},
    index::local::LocalState,
    repository::{ObjectProblem, Repository, RepositoryError},
    storage::{ObjectName, StoreErrorKind},
};

use super::{
    FindingKind, VerifyReport,
    check::{examine, name_lost_files, tell},
};
use crate::{
    compact::read_segment,
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Progress},
    inlet::{Weighed, inlet},
    inventory::{Inventory, description_hash, is_not_found},
    stage::Worker,
    supervisor::{self, StagePlan},
};

/// Name of the stage that hands out packs.
const LISTER: &str = "lister";
/// Name of the stage that reads packs.
const VERIFIER: &str = "verifier";
/// Packs in memory at once.
const VERIFIERS: usize = 2;

/// How much to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions {
    /// This many manifests, segments and packs each; none is all.
    pub samples: Option<usize>,
    /// Name every lost file.
    pub full: bool,
}

struct Wanted(PackId, u64);

impl Weighed for Wanted {
    fn weight_bytes(&self) -> u64 {
        self.1
    }
}

type Findings = Arc<Mutex<Vec<(PackId, FindingKind, String)>>>;

/// Verifies.
///
/// # Errors
/// When the target does not answer, or with a write-only key; damage is the result.
pub async fn run_verify(
    repository: Arc<Repository>,
    mut local: Option<&mut LocalState>,
    options: VerifyOptions,
    _clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<VerifyReport, RunError> {
    if !repository.data.can_open() {
        let operation = "verifying content";
        return Err(RepositoryError::WriteOnlyKey { operation }.into());
    }
    monitor.progress.set_phase(Phase::Opening);
    let taking = Inventory::take(&repository, local.as_deref_mut());
    let mut inventory = control.until_tripped(taking).await??;
    let index = Arc::new(std::mem::take(&mut inventory.index));
    let mut packs: Vec<PackId> = inventory.packs.keys().copied().collect();
    packs.sort_unstable();
    packs.retain(|pack| index.contains_pack(pack));
    // What was found damaged before is read again, whatever the sample is: somebody may have put it right.
    let noted = std::mem::take(&mut inventory.damaged);
    let (mut chosen, others): (Vec<PackId>, Vec<PackId>) =
        packs.into_iter().partition(|pack| noted.contains(pack));
    chosen.extend(choose(others, options.samples)?);
    let packs = chosen;
    let mut report = VerifyReport::default();
    let examining = examine(&repository, &inventory, &index, &mut report, &control);
    control.until_tripped(examining).await??;
    monitor.progress.set_phase(Phase::Working);

    // The index may come from the local copy: what the target holds is read here.
    let segments = choose(
        inventory.segments.iter().map(|segment| segment.id).collect(),
        options.samples,
    )?;
    report.segments = segments.len() as u64;
    for segment in segments {
        control.check()?;
        let name = ObjectName::from(segment);
        let read = control
            .until_tripped(repository.get_object(&name, &repository.index))
            .await?
            .and_then(|content| {
                decode_segment(&content, |pack| match inventory.descriptions.get(&pack.id) {
                    Some(hash) if *hash == description_hash(&pack) => Ok(()),
                    _ => Err(FormatError::damaged(
                        "index segment",
                        format!("pack {} is described differently", pack.id),
                    )),
                })
                .map_err(|error| RepositoryError::object(&name, repository.store.location(), error))
            });
        match read {
            Ok(()) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) if error.is_damage() => report.find(name, FindingKind::Error, error),
            Err(error) => return Err(error.into()),
        }
    }
    let manifests = inventory.snapshots.snapshots.len();
    report.snapshots = options
        .samples
        .map_or(manifests, |samples| samples.min(manifests)) as u64;

    report.packs = packs.len() as u64;
    let inventory = Arc::new(inventory);
    let findings = read_packs(&repository, &inventory, packs.clone(), &monitor, &control).await?;
    if let Some(local) = local {
        // So that the next backup on this machine stores again what is in them, and `repair` knows where to look.
        let damaged: Vec<PackId> = findings.iter().map(|(pack, _, _)| *pack).collect();
        let whole: Vec<PackId> = packs.into_iter().filter(|pack| !damaged.contains(pack)).collect();
        local.note_read_packs(&damaged, &whole)?;
    }
    for (pack, kind, text) in findings {
        report.find(ObjectName::from(pack), kind, text);
        let losing = lost_chunks(&repository, &inventory, pack);
        for chunk in control.until_tripped(losing).await?? {
            // Another copy may be what the index points to.
            if index
                .find(&chunk)
                .is_none_or(|place| index.frame(place.frame).pack == pack)
            {
                report.lost.insert(&chunk.prefix(), ());
            }
        }
    }
    report.read_bytes = monitor.progress.snapshot().fetched_bytes;
    let naming = name_lost_files(
        &repository,
        &inventory,
        &index,
        &mut report,
        options.full,
        &control,
    );
    control.until_tripped(naming).await??;
    tell(&report, &monitor);
    monitor.progress.set_phase(Phase::Done);
    Ok(report)
}

/// A random choice of `samples`, or all.
pub(crate) fn choose<T>(mut all: Vec<T>, samples: Option<usize>) -> Result<Vec<T>, RunError> {
    let Some(samples) = samples else { return Ok(all) };
    let mut chosen = Vec::new();
    while chosen.len() < samples && !all.is_empty() {
        let random = u128::from_le_bytes(random_id()?) % all.len() as u128;
        chosen.push(all.swap_remove(random as usize));
    }
    Ok(chosen)
}

/// Reads packs whole and returns those that are not what the index says.
pub(crate) async fn read_packs(
    repository: &Arc<Repository>,
    inventory: &Arc<Inventory>,
    packs: Vec<PackId>,
    monitor: &Monitor,
    control: &RunControl,
) -> Result<Vec<(PackId, FindingKind, String)>, RunError> {
    let findings = Findings::default();
    let (sender, receiver) = inlet(VERIFIER, VERIFIERS, control);
    let sizes: Vec<Wanted> = packs
        .into_iter()
        .map(|id| Wanted(id, inventory.packs.get(&id).copied().unwrap_or(0)))
        .collect();
    let lister = Worker::task(async move {
        for wanted in sizes {
            sender.send(wanted).await?;
        }
        Ok(())
    });
    let verifiers = (0..VERIFIERS)
        .map(|_| {
            let (repository, inventory) = (Arc::clone(repository), Arc::clone(inventory));
            let (receiver, findings, monitor) = (receiver.clone(), Arc::clone(&findings), monitor.clone());
            let control = control.clone();
            Worker::task(async move {
                while let Some(Wanted(id, _)) = receiver.receive().await? {
                    let outcome = tokio::select! {
                        outcome = read_pack(&repository, &inventory, id, &monitor) => outcome?,
                        () = control.tripped() => return Err(RunError::Interrupted),
                    };
                    if let Some((kind, text)) = outcome {
                        findings
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((id, kind, text));
                    }
                }
                Ok(())
            })
        })
        .collect();
    drop(receiver);
    let stages = vec![
        StagePlan {
            name: VERIFIER,
            workers: verifiers,
        },
        StagePlan {
            name: LISTER,
            workers: vec![lister],
        },
    ];
    supervisor::run(stages, control).await?;
    Ok(std::mem::take(
        &mut *findings.lock().unwrap_or_else(PoisonError::into_inner),
    ))
}

async fn read_pack(
    repository: &Arc<Repository>,
    inventory: &Inventory,
    id: PackId,
    monitor: &Monitor,
) -> Result<Option<(FindingKind, String)>, RunError> {
    let object = match repository.store.get(&ObjectName::from(id), None).await {
        Ok(object) => object,
        Err(error) if error.kind == StoreErrorKind::NotFound => {
            // Collected meanwhile is no damage; listed and not readable is.
            return Ok((!inventory.doomed.contains(&id)).then(|| (FindingKind::Missing, error.to_string())));
        }
        // A medium with a bad place, or a target that gives less than it lists: the other packs may be whole.
        Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::Truncated) => {
            return Ok(Some((FindingKind::Modified, error.to_string())));
        }
        Err(error) => return Err(error.into()),
    };
    Progress::add(&monitor.progress.fetched_objects, 1);
    Progress::add(&monitor.progress.fetched_bytes, object.len() as u64);
    let expected = inventory.descriptions.get(&id).copied();
    let repository = Arc::clone(repository);
    tokio::task::spawn_blocking(move || match open_pack(&repository, id, &object) {
        Ok(pack) if expected == Some(description_hash(&pack)) => None,
        Ok(_) => Some((
            FindingKind::Modified,
            "its footer differs from the index".to_owned(),
        )),
        Err(error) => Some((FindingKind::Modified, error.to_string())),
    })
    .await
    .map_err(|error| RunError::Panicked {
        stage: VERIFIER,
        message: error.to_string(),
    })
}

/// Opens a pack, checks every chunk, and describes it as its footer does.
pub(crate) fn open_pack(
    repository: &Repository,
    id: PackId,
    object: &[u8],
) -> Result<PackDescription, ObjectProblem> {
    let plaintext = repository.data.open(object)?;
    let footer = PackFooter::from_pack_plaintext(&plaintext)?;
    let age_header = match &repository.data {
        Envelope::Open => Vec::new(),
        Envelope::Age { .. } => object[..age_file::header_length(object)?].to_vec(),
    };
    let mut decompressor = FrameDecompressor::default();
    let mut raw = Vec::new();
    let mut start = 0usize;
    for frame in &footer.frames {
        let end = start + frame.stored_size_bytes as usize;
        decompressor.decompress(&plaintext[start..end], frame.raw_size_bytes as usize, &mut raw)?;
        start = end;
        let mut place = 0usize;
        for (chunk, size) in &frame.chunks {
            let next = place + *size as usize;
            if repository.hasher.id(footer.class, &raw[place..next]) != *chunk {
                return Err(ObjectProblem::WrongId {
                    expected: chunk.to_string(),
                });
            }
            place = next;
        }
    }
    Ok(PackDescription {
        id,
        object_size_bytes: object.len() as u64,
        age_header,
        footer,
    })
}

/// The chunks of a damaged pack that cannot be read, frame by frame.
async fn lost_chunks(
    repository: &Repository,
    inventory: &Inventory,
    id: PackId,
) -> Result<Vec<ChunkId>, RunError> {
    let Some(segment) = inventory
        .segments
        .iter()
        .find(|segment| segment.packs.contains(&id))
    else {
        return Ok(Vec::new());
    };
    let packs = match read_segment(repository, segment.id).await {
        Ok(packs) => packs,
        Err(RunError::Repository(error)) if error.is_damage() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let Some(pack) = packs.into_iter().find(|pack| pack.id == id) else {
        return Ok(Vec::new());
    };
    let mut lost = Vec::new();
    let key = match frame_copier::pack_key(repository, &pack).await {
        Ok(key) => Some(key),
        Err(error) if error.is_damage() => None,
        Err(error) => return Err(error.into()),
    };
    for (number, frame) in pack.footer.frames.iter().enumerate() {
        let mut sound = false;
        if let Some(key) = &key {
            for stretch in frame_copier::stretches(&pack, |other| other == number) {
                match frame_copier::fetch(repository, &pack, key, stretch).await {
                    Ok(fetched) => {
                        let mut tools = (FrameDecompressor::default(), Vec::new());
                        let tools = (&mut tools.0, &mut tools.1);
                        let each = |_: usize, _: Copied<'_>| Ok::<(), RepositoryError>(());
                        sound =
                            frame_copier::copy(repository, &pack, &fetched, |_, _| true, tools, each).is_ok();
                    }
                    Err(error) if error.is_damage() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if !sound {
            lost.extend(frame.chunks.iter().map(|(chunk, _)| *chunk));
        }
    }
    Ok(lost)
}
