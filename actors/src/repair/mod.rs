// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Describes anew what the index has lost, and takes out of the index what is not there or not right any more.
//!
//! Of a damaged pack, everything that still opens is put into new packs, the index describes only these, and the pack itself stays. So nothing that can
//! be restored gets less (S-7), and the next backup stores again what was lost, as far as the sources still have it. Deletes nothing but segments whose
//! packs are all described elsewhere, looked through, or gone.
//!
//! Reading order: this file, [`suspects`] (what is damaged), [`salvager`] (what can be had of it), [`condemned`] (what a collection was about to delete).

mod condemned;
mod faulty_medium;
mod salvager;
mod suspects;

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use duplicati_engine::{
    clock::Clock,
    format::{codec::Decoder, index_segment::PackDescription},
    id::{ChunkId, PackId, SegmentId},
    index::{ChunkIndex, id_table::IdTable, local::LocalState},
    repository::{Repository, RepositoryError},
    storage::{ObjectName, StoreErrorKind},
};
use serde::Serialize;

use self::{salvager::Salvager, suspects::Suspects};
use crate::{
    compact::{
        put_segment, read_segment,
        sessions::{OwnSession, end_stale},
    },
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    inventory::{Inventory, is_not_found, list_sessions},
    verify::{CheckOptions, VerifyReport, is_out_of_reach, open_pack, run_check},
};

/// Descriptions in one segment, bytes: about 200,000 chunks.
const SEGMENT_BYTES: usize = 8 << 20;

/// How to repair.
#[derive(Debug, Clone, Default)]
pub struct RepairOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Nobody else uses the repository: a plan that cannot be read is nobody's any more.
    pub exclusive: bool,
    /// Host name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// Name every lost file.
    pub full: bool,
    /// Read every pack, instead of those only that look wrong or were found damaged on this machine before.
    pub read_everything: bool,
}

/// A pack that is not what it was.
#[derive(Debug, Clone, Serialize)]
pub struct DamagedPack {
    /// The pack.
    pub id: PackId,
    /// Its size now, bytes.
    pub size_bytes: u64,
    /// What is wrong with it.
    pub why: String,
}

/// What a repair did.
#[derive(Default, Serialize)]
pub struct RepairReport {
    /// Packs that no readable segment described, or described as they are, and one does now.
    pub described_packs: Vec<PackId>,
    /// Packs whose footer cannot be read, and why; they stay.
    pub unreadable_packs: Vec<String>,
    /// Packs that were described and are damaged: what still opens of them was stored again, and the index does not name them any more. They stay.
    pub damaged_packs: Vec<DamagedPack>,
    /// Chunks that still opened in damaged packs.
    pub salvaged_chunks: u64,
    /// Packs that these are in now.
    pub stored_packs: Vec<PackId>,
    /// Packs that the target does not have; the index does not name them any more, so the next backup stores their chunks again.
    pub missing_packs: Vec<PackId>,
    /// Segments removed, because others describe all that they did.
    pub removed_segments: Vec<SegmentId>,
    /// Plans removed because they could not be read.
    pub removed_plans: u64,
    /// What is still wrong afterwards, with the files that are lost.
    pub remaining: VerifyReport,
}

/// Repairs.
///
/// # Errors
/// When the target fails; running it again goes on.
pub async fn run_repair(
    repository: Arc<Repository>,
    mut local: Option<&mut LocalState>,
    options: RepairOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<RepairReport, RunError> {
    monitor.progress.set_phase(Phase::Opening);
    let mut report = RepairReport::default();
    let machine = local.as_deref().map_or(Ok(String::new()), LocalState::machine)?;
    let own = if options.dry_run {
        None
    } else {
        let beginning = OwnSession::begin(
            &repository,
            &options.host,
            &options.program,
            machine.clone(),
            clock.as_ref(),
        );
        let own = control.until_tripped(beginning).await??;
        let ending = end_stale(&repository, Some(own.id), &machine);
        control.until_tripped(ending).await??;
        Some(own)
    };
    // To stop anywhere is to crash there, which every step allows for.
    let repairing = repair(
        &repository,
        local.as_deref_mut(),
        &options,
        own.as_ref(),
        &monitor,
        &control,
        &mut report,
    );
    let outcome = control.until_tripped(repairing).await.flatten();
    // A run that was stopped may have a request under way, which must find the session. The next run of this machine ends it, and others may fence it; where
    // nobody can do either, it would only be in the way.
    let leaves = control.is_tripped() && repository.store.capability().put_if_absent;
    if let Some(own) = own.filter(|_| !leaves) {
        let ended = control
            .tidy_up(own.end(&repository))
            .await
            .unwrap_or(Err(RunError::Interrupted));
        outcome?;
        ended?;
    } else {
        outcome?;
    }
    let check = CheckOptions { full: options.full };
    // A segment that stays although it cannot be read would be hidden by the local copy.
    let mut local = local.filter(|_| report.unreadable_packs.is_empty());
    let mut copied = HashSet::new();
    loop {
        report.remaining = run_check(
            Arc::clone(&repository),
            local.as_deref_mut(),
            check,
            Arc::clone(&clock),
            monitor.clone(),
            control.clone(),
        )
        .await?;
        let lost = &report.remaining.lost;
        if options.dry_run || lost.is_empty() || !repository.data.can_open() {
            return Ok(report);
        }
        // Each round that goes on has copied chunks that no round before had, so this ends. A folder that is had again may name more.
        let lost = std::mem::take(&mut report.remaining.lost);
        let machine = machine.clone();
        let (clock, control) = (clock.as_ref(), &control);
        let found = condemned::rescue(
            &repository,
            &options,
            &lost,
            machine,
            clock,
            control,
            &mut report,
            &mut copied,
        );
        if !control.until_tripped(found).await?? {
            report.remaining.lost = lost;
            return Ok(report);
        }
    }
}

async fn repair(
    repository: &Arc<Repository>,
    local: Option<&mut LocalState>,
    options: &RepairOptions,
    own: Option<&OwnSession>,
    monitor: &Monitor,
    control: &RunControl,
    report: &mut RepairReport,
) -> Result<(), RunError> {
    // Without the local copy: it may hold what the target has lost (S-5).
    let mut inventory = Inventory::take(repository, None).await?;
    let index = std::mem::take(&mut inventory.index);
    let inventory = Arc::new(inventory);
    monitor.progress.set_phase(Phase::Working);
    let (remembered, noted) = match local.as_deref() {
        Some(local) => (local.stored_packs()?, local.damaged_packs()?),
        None => (Vec::new(), HashSet::new()),
    };
    let mut work = Work::new(repository, options.dry_run);
    let mut suspects = Suspects::default();
    if repository.data.can_open() {
        let all = options.read_everything;
        suspects = suspects::look(repository, &inventory, &index, &noted, all, monitor, control).await?;
        work.replace_damaged(&inventory, &index, &suspects, control, report)
            .await?;
    }
    work.describe_unindexed(&inventory, &index, &remembered, control, report)
        .await?;
    report.missing_packs = index
        .packs()
        .map(|pack| pack.id)
        .filter(|id| !inventory.packs.contains_key(id) && !inventory.doomed.contains(id))
        .collect();
    // Segments that name missing or damaged packs are replaced by ones that do not: otherwise every later backup would rely on what is not there.
    work.retired.extend(&report.missing_packs);
    let replaced = work.replace_segments(&inventory).await?;
    report.removed_segments.clone_from(&replaced);
    report.salvaged_chunks = work.salvager.chunks;
    let Some(own) = own else { return Ok(()) };
    work.store().await?;
    report.stored_packs.clone_from(&work.salvager.packs);
    // If somebody took this run for dead, what it described may be collected: then the old segments stay.
    own.seal_off(repository).await?;
    for segment in replaced {
        repository.store.delete(&ObjectName::from(segment)).await?;
    }
    if let Some(local) = local {
        let gone: Vec<PackId> = remembered
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| !inventory.packs.contains_key(id) || report.described_packs.contains(id))
            .collect();
        local.remove_stored_packs(&gone)?;
        // Whatever was noted has been looked at: it is whole, or nothing describes it any more.
        let settled: Vec<PackId> = noted.into_iter().chain(suspects.whole).collect();
        if repository.data.can_open() {
            local.note_read_packs(&[], &settled)?;
        }
    }
    settle_plans(repository, &inventory, own, options, monitor, report).await
}

/// What a repair writes.
struct Work<'a> {
    repository: &'a Arc<Repository>,
    salvager: Salvager,
    /// Descriptions for new segments.
    described: Vec<Vec<u8>>,
    /// Packs whose descriptions in present segments go.
    retired: HashSet<PackId>,
    /// Whether every pack that the target lists has been described or looked through.
    covered_all: bool,
}

impl<'a> Work<'a> {
    fn new(repository: &'a Arc<Repository>, is_dry_run: bool) -> Self {
        Self {
            repository,
            salvager: Salvager::new(repository, is_dry_run),
            described: Vec::new(),
            retired: HashSet::new(),
            covered_all: true,
        }
    }

    /// Takes what opens out of damaged packs, and takes the packs out of the index. The objects stay where they are (S-7).
    async fn replace_damaged(
        &mut self,
        inventory: &Inventory,
        index: &ChunkIndex,
        suspects: &Suspects,
        control: &RunControl,
        report: &mut RepairReport,
    ) -> Result<(), RunError> {
        let size_of = |id: &PackId| inventory.packs.get(id).copied().unwrap_or(0);
        let whole: HashSet<PackId> = suspects.whole.iter().copied().collect();
        let rightly_elsewhere = |id: &ChunkId| {
            index
                .find(id)
                .is_some_and(|place| whole.contains(&index.frame(place.frame).pack))
        };
        for id in &suspects.contradicted {
            control.check()?;
            if let Some(pack) = self.open_as_it_is(*id, size_of(id)).await? {
                self.described.push(encoded(&pack));
                self.retired.insert(*id);
            }
        }
        // Packs that are whole, but other ones than the index says, are described as they are; before anything is taken out of the others.
        let mut broken = Vec::new();
        for (id, why) in &suspects.damaged {
            control.check()?;
            self.retired.insert(*id);
            if let Some(pack) = self.open_as_it_is(*id, size_of(id)).await? {
                self.salvager.secure(&pack);
                self.described.push(encoded(&pack));
                report.described_packs.push(*id);
            } else {
                broken.push((*id, why));
            }
        }
        for (id, why) in broken {
            control.check()?;
            let described = suspects.described.get(&id).map_or(&[][..], Vec::as_slice);
            self.salvage(id, size_of(&id), described, |chunk| !rightly_elsewhere(chunk))
                .await?;
            report.damaged_packs.push(DamagedPack {
                id,
                size_bytes: size_of(&id),
                why: why.clone(),
            });
        }
        Ok(())
    }

    /// What a pack says of itself, if every byte of it is right.
    async fn open_as_it_is(&self, id: PackId, size_bytes: u64) -> Result<Option<PackDescription>, RunError> {
        let Some(object) = self.get(id, size_bytes).await? else {
            return Ok(None);
        };
        let repository = Arc::clone(self.repository);
        blocking(move || open_pack(&repository, id, &object).ok()).await
    }

    async fn get(&self, id: PackId, size_bytes: u64) -> Result<Option<Bytes>, RunError> {
        let (store, name) = (self.repository.store.as_ref(), ObjectName::from(id));
        match store.get(&name, None).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::Truncated) => {
                Ok(faulty_medium::read_around(store, &name, size_bytes).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the pack's own footer could be read.
    async fn salvage(
        &mut self,
        id: PackId,
        size_bytes: u64,
        described: &[PackDescription],
        is_wanted: impl Fn(&ChunkId) -> bool,
    ) -> Result<bool, RunError> {
        let Some(object) = self.get(id, size_bytes).await? else {
            return Ok(false);
        };
        let has_footer = self.salvager.take(&object, described, is_wanted)?;
        self.salvager.upload().await?;
        Ok(has_footer)
    }

    /// Describes packs that no readable segment describes; of those that are damaged, takes out what the index has nowhere.
    async fn describe_unindexed(
        &mut self,
        inventory: &Inventory,
        index: &ChunkIndex,
        remembered: &[(PackId, Vec<u8>)],
        control: &RunControl,
        report: &mut RepairReport,
    ) -> Result<(), RunError> {
        for (id, size) in inventory.unindexed(index) {
            control.check()?;
            // Most are waste of a collection that was cut off; `condemned` looks into them when something is lost.
            if inventory.doomed.contains(&id) {
                continue;
            }
            match describe(self.repository, id, size, remembered).await {
                Ok(description) => {
                    self.described.push(description);
                    report.described_packs.push(id);
                }
                Err(RunError::Repository(error)) if error.is_damage() => {
                    let has_vanished = is_not_found(&error);
                    if !has_vanished {
                        report
                            .unreadable_packs
                            .push(format!("{}: {error}", ObjectName::from(id)));
                    }
                    let mut is_covered = has_vanished;
                    if !has_vanished && self.repository.data.can_open() {
                        let retired = std::mem::take(&mut self.retired);
                        let is_known = |chunk: &ChunkId| {
                            !is_out_of_reach(index, inventory, chunk)
                                && index
                                    .find(chunk)
                                    .is_some_and(|place| !retired.contains(&index.frame(place.frame).pack))
                        };
                        let outcome = self.salvage(id, size, &[], |chunk| !is_known(chunk)).await;
                        self.retired = retired;
                        is_covered = outcome?;
                    }
                    self.covered_all &= is_covered;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Chooses the segments that go, and describes anew what they say of packs that stay.
    async fn replace_segments(&mut self, inventory: &Inventory) -> Result<Vec<SegmentId>, RunError> {
        let mut replaced: Vec<SegmentId> = Vec::new();
        let mut moved = HashSet::new();
        for segment in inventory
            .segments
            .iter()
            .filter(|segment| segment.packs.iter().any(|pack| self.retired.contains(pack)))
        {
            for pack in read_segment(self.repository, segment.id).await? {
                if !self.retired.contains(&pack.id) && moved.insert(pack.id) {
                    self.described.push(encoded(&pack));
                }
            }
            replaced.push(segment.id);
        }
        for (id, error) in &inventory.unreadable_segments {
            // What a newer program wrote is not ours to remove (F-8).
            if self.covered_all && !error.is_newer() && !is_not_found(error) {
                replaced.push(*id);
            }
        }
        Ok(replaced)
    }

    /// Stores the last salvaged pack, then the segments (S-1).
    async fn store(&mut self) -> Result<(), RunError> {
        self.salvager.finish().await?;
        self.described.append(&mut self.salvager.descriptions);
        let mut rest = self.described.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |pack: &&Vec<u8>| {
                let is_room_left = bytes < SEGMENT_BYTES;
                bytes += pack.len();
                is_room_left
            };
            let count = rest.iter().take_while(fits).count();
            put_segment(self.repository, &rest[..count]).await?;
            rest = &rest[count..];
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RunError::Panicked {
            stage: "repair",
            message: error.to_string(),
        })
}

/// Removes plans that cannot be read once no collector can act on them: each has a session object as long as it lives.
async fn settle_plans(
    repository: &Repository,
    inventory: &Inventory,
    own: &OwnSession,
    options: &RepairOptions,
    monitor: &Monitor,
    report: &mut RepairReport,
) -> Result<(), RunError> {
    if inventory.unreadable_plans.is_empty() {
        return Ok(());
    }
    let others = list_sessions(repository)
        .await?
        .into_iter()
        .filter(|(id, _)| *id != own.id)
        .count();
    if others > 0 && !options.exclusive {
        monitor.tell(
            Severity::Warning,
            "PlanUnreadable",
            b"",
            format!("a collection plan cannot be read and {others} sessions are open; repair again when no other machine uses the repository, and say so"),
        );
        return Ok(());
    }
    for (id, error) in &inventory.unreadable_plans {
        if error.is_newer() {
            let name = ObjectName::from(*id).to_string();
            monitor.tell(
                Severity::Warning,
                "PlanOfNewerProgram",
                name.as_bytes(),
                "a newer program wrote this collection plan, so it stays; run compact with that program",
            );
            continue;
        }
        repository.store.delete(&ObjectName::from(*id)).await?;
        report.removed_plans += 1;
    }
    Ok(())
}

fn encoded(pack: &PackDescription) -> Vec<u8> {
    let mut encoded = Vec::new();
    pack.encode(&mut encoded);
    encoded
}

/// A pack's description: from what this machine remembers when that fits, else from the pack's own footer.
async fn describe(
    repository: &Arc<Repository>,
    id: PackId,
    size: u64,
    remembered: &[(PackId, Vec<u8>)],
) -> Result<Vec<u8>, RunError> {
    let known = remembered
        .iter()
        .find(|(known, _)| *known == id)
        .and_then(|(_, description)| {
            PackDescription::decode(&mut Decoder::new("remembered pack", description))
                .ok()
                .filter(|pack| pack.id == id && pack.object_size_bytes == size)
                .map(|pack| encoded(&pack))
        });
    if let Some(known) = known {
        return Ok(known);
    }
    let name = ObjectName::from(id);
    let object = repository.store.get(&name, None).await?;
    let repository = Arc::clone(repository);
    let described = blocking(move || {
        open_pack(&repository, id, &object)
            .map(|pack| encoded(&pack))
            .map_err(|error| RepositoryError::object(&name, repository.store.location(), error))
    })
    .await?;
    Ok(described?)
}
