// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only place that deletes packs and segments. Before the first deletion it proves that every needed chunk is somewhere that stays.
//!
//! In order: mark what was committed meanwhile; spare packs that hold the only copy of anything needed; describe every pack that stays and
//! would lose its segment; delete segments, then packs, then plans. A crash in between leaves waste and a plan that the next run carries out.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    compaction::Marks,
    format::session::Plan,
    id::{ChunkId, PackId, PlanId, SegmentId, SnapshotId},
    index::local::LocalState,
    repository::{FrameReader, Repository},
    storage::ObjectName,
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{CompactReport, OpenSession, planner::read_segment, sessions, survey, swapper::put_segment};
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Severity},
    inventory::Inventory,
};

/// Opened tree frames kept while marking, bytes.
const CACHE_BYTES: u64 = 16 << 20;
/// Deletions under way at once.
const DELETIONS_MAX: usize = 16;

/// What is to go, and what is known to be needed.
pub struct Condemned {
    /// The plan that names it.
    pub own_plan: PlanId,
    /// Packs.
    pub packs: HashSet<PackId>,
    /// Earlier plans.
    pub plans: Vec<(PlanId, Plan)>,
    /// Segments that were replaced.
    pub segments: HashSet<SegmentId>,
    /// Snapshots whose chunks are marked.
    pub marked: HashSet<SnapshotId>,
    /// Needed chunks.
    pub marks: Marks,
    /// How many of them were nowhere already when they were marked.
    pub missing_before: u64,
    /// Packs that were to be moved and are damaged.
    pub failed: Vec<PackId>,
    /// Sessions that had ended when they were looked at, by a manifest or by a fence.
    pub ended: Vec<OpenSession>,
}

/// Deletes what may go.
pub async fn collect(
    repository: &Arc<Repository>,
    mut local: Option<&mut LocalState>,
    condemned: Condemned,
    monitor: &Monitor,
    control: &RunControl,
    report: &mut CompactReport,
) -> Result<(), RunError> {
    let Condemned {
        own_plan,
        mut packs,
        plans,
        segments,
        marked,
        mut marks,
        missing_before,
        failed,
        ended,
    } = condemned;
    // Whoever made an earlier plan may be about to delete what it names: such a pack proves nothing, not even beside one that this plan condemns (P-9).
    let given_up: HashSet<PackId> = plans
        .iter()
        .flat_map(|(_, plan)| plan.packs.iter().copied())
        .collect();
    let mut inventory = Inventory::load(
        repository,
        local.as_deref_mut(),
        packs.clone(),
        &given_up,
        &HashSet::new(),
    )
    .await?;
    survey::refuse_unreadable(&inventory)?;
    // A session that ended by a manifest is open again when that manifest was deleted meanwhile (P-7).
    let reopened = sessions::reopened(ended, &inventory.snapshots);
    if !reopened.is_empty() {
        report.waiting_for = reopened;
        return Ok(());
    }
    let index = Arc::new(std::mem::take(&mut inventory.index));
    let frames = FrameReader::new(Arc::clone(repository), Arc::clone(&index), CACHE_BYTES);
    marks.leave_index();
    survey::mark_all(
        &mut marks,
        &frames,
        &inventory.snapshots.snapshots,
        &marked,
        control,
    )
    .await?;
    drop(frames);

    // A pack that was in no segment and is now was finished by its session since.
    let described: HashMap<PackId, ()> = inventory
        .segments
        .iter()
        .flat_map(|segment| segment.packs.iter().map(|pack| (*pack, ())))
        .collect();
    let unindexed: HashSet<PackId> = report
        .plan
        .removed
        .iter()
        .filter(|pack| pack.verdict == duplicati_engine::compaction::PackVerdict::DeleteUnindexed)
        .map(|pack| pack.id)
        .collect();
    let mut spared: HashSet<PackId> = failed.into_iter().collect();
    spared.extend(unindexed.iter().filter(|id| described.contains_key(id)));
    // The proof: the index prefers packs that stay, so a needed chunk that it places in a condemned pack is nowhere else.
    let mut missing_now = 0;
    for prefix in marks.chunks() {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&prefix);
        if let Some(place) = index.find(&ChunkId(id)) {
            let pack = index.frame(place.frame).pack;
            if packs.contains(&pack) {
                spared.insert(pack);
            }
        } else {
            missing_now += 1;
        }
    }
    // A chunk that the index has lost since, or that a new version needs and the index never had, may lie in a pack that is about to go.
    if missing_now > missing_before {
        return Err(RunError::Refused(format!(
            "{} chunks that versions need are in no pack that the index knows now, so nothing was deleted; run `repair`, then compact again",
            missing_now - missing_before
        )));
    }
    packs.retain(|pack| !spared.contains(pack));
    report.spared_packs = spared.iter().copied().collect();
    report.spared_packs.sort_unstable();

    let doomed_segments =
        settle_segments(repository, &inventory, &packs, &given_up, segments, report).await?;
    control.check()?;
    report.deleted_segments = doomed_segments.len() as u64;
    delete_all(repository, doomed_segments.into_iter().map(ObjectName::from)).await?;
    let gone: Vec<PackId> = packs
        .iter()
        .filter(|id| inventory.packs.contains_key(id))
        .copied()
        .collect();
    report.deleted_packs = gone.len() as u64;
    report.deleted_bytes = gone.iter().filter_map(|id| inventory.packs.get(id)).sum();
    delete_all(repository, packs.iter().copied().map(ObjectName::from)).await?;
    if let Some(local) = local {
        local.remove_stored_packs(&gone)?;
    }
    // An earlier plan is done when nothing that it names is left: whoever made it may still act on it.
    let is_left = |id: &PackId| inventory.packs.contains_key(id) && !packs.contains(id);
    for (id, plan) in &plans {
        if !plan.packs.iter().any(is_left) {
            repository.store.delete(&ObjectName::from(*id)).await?;
            report.finished_plans += 1;
        }
    }
    repository.store.delete(&ObjectName::from(own_plan)).await?;
    monitor.tell(
        Severity::Information,
        "Compacted",
        b"",
        format!(
            "deleted {} packs ({} bytes) and {} index segments",
            report.deleted_packs, report.deleted_bytes, report.deleted_segments
        ),
    );
    Ok(())
}

/// Finds every segment that describes a pack that goes, and describes anew what stays of them and nowhere else.
async fn settle_segments(
    repository: &Repository,
    inventory: &Inventory,
    packs: &HashSet<PackId>,
    given_up: &HashSet<PackId>,
    replaced: HashSet<SegmentId>,
    report: &mut CompactReport,
) -> Result<Vec<SegmentId>, RunError> {
    // Whoever made an earlier plan may delete any segment that describes a pack of it (P-13).
    let goes = |pack: &PackId| packs.contains(pack) || given_up.contains(pack);
    let (going, staying): (Vec<_>, Vec<_>) = inventory
        .segments
        .iter()
        .partition(|segment| replaced.contains(&segment.id) || segment.packs.iter().any(goes));
    let mut covered: HashSet<PackId> = staying
        .iter()
        .flat_map(|segment| segment.packs.iter().copied())
        .collect();
    let mut wanted = Vec::new();
    for segment in &going {
        let is_needed = |pack: &PackId| !packs.contains(pack);
        if !segment
            .packs
            .iter()
            .any(|pack| is_needed(pack) && !covered.contains(pack))
        {
            continue;
        }
        for pack in read_segment(repository, segment.id).await? {
            if is_needed(&pack.id) && covered.insert(pack.id) {
                let mut encoded = Vec::new();
                pack.encode(&mut encoded);
                wanted.push(encoded);
            }
        }
    }
    if !wanted.is_empty() {
        put_segment(repository, &wanted).await?;
        report.written_segments += 1;
    }
    Ok(going.into_iter().map(|segment| segment.id).collect())
}

async fn delete_all(
    repository: &Repository,
    names: impl Iterator<Item = ObjectName>,
) -> Result<(), RunError> {
    let concurrency = repository
        .store
        .capability()
        .concurrent_requests_max
        .clamp(1, DELETIONS_MAX);
    stream::iter(names.map(|name| async move { repository.store.delete(&name).await }))
        .buffer_unordered(concurrency)
        .try_collect::<()>()
        .await?;
    Ok(())
}
