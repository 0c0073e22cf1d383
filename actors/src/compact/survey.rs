// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Counts what is needed and decides. Refuses whenever something cannot be read that might need more (S-7).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    compaction::{CompactionPlan, MarkError, Marks, Thresholds, mark_snapshot},
    format::manifest::Manifest,
    id::{PackId, SnapshotId},
    index::{ChunkIndex, local::LocalState},
    repository::{FrameReader, Repository},
    storage::ObjectName,
};

use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Severity},
    inventory::Inventory,
};

/// Opened tree frames kept while marking, bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// The repository as the plan saw it.
pub struct Survey {
    /// What is there. Its index has moved to `index`.
    pub inventory: Inventory,
    /// Where each chunk lies.
    pub index: Arc<ChunkIndex>,
    /// What is needed.
    pub marks: Marks,
    /// The first frame of each pack.
    first_frames: HashMap<PackId, u32>,
    /// Snapshots whose chunks are marked.
    pub marked: HashSet<SnapshotId>,
    /// What was decided.
    pub plan: CompactionPlan,
    /// Packs to be written again.
    pub rewritten: HashSet<PackId>,
    /// Packs that go.
    pub removed: HashSet<PackId>,
    /// Whether chunks are needed that no pack holds: then the index is not believed about what goes.
    pub is_lacking: bool,
}

impl Survey {
    /// Whether a chunk at this place is the one that counts, and is needed.
    pub fn is_wanted(&self, pack: PackId, frame: usize, id: &duplicati_engine::id::ChunkId) -> bool {
        self.marks.is_live(id)
            && self.index.find(id).is_some_and(|place| {
                let at = self.index.frame(place.frame);
                at.pack == pack
                    && self
                        .first_frame(pack)
                        .is_some_and(|first| first + frame as u32 == place.frame.0)
            })
    }

    /// Whether anything in a frame is needed from here.
    pub fn is_frame_wanted(&self, pack: PackId, frame: usize) -> bool {
        self.first_frame(pack)
            .and_then(|first| self.marks.live_bytes().get(first as usize + frame))
            .is_some_and(|bytes| *bytes > 0)
    }

    /// Whether a chunk is needed and the index has no place for it, or none that is there.
    pub fn is_lost(&self, id: &duplicati_engine::id::ChunkId) -> bool {
        self.marks.is_live(id)
            && self.index.find(id).is_none_or(|place| {
                !self
                    .inventory
                    .packs
                    .contains_key(&self.index.frame(place.frame).pack)
            })
    }

    fn first_frame(&self, pack: PackId) -> Option<u32> {
        self.first_frames.get(&pack).copied()
    }
}

/// Lists, marks and decides.
pub async fn take(
    repository: &Arc<Repository>,
    local: Option<&mut LocalState>,
    thresholds: &Thresholds,
    monitor: &Monitor,
    control: &RunControl,
) -> Result<Survey, RunError> {
    let remembered: HashSet<PackId> = match local.as_deref() {
        Some(local) => local.stored_packs()?.into_iter().map(|(id, _)| id).collect(),
        None => HashSet::new(),
    };
    let mut inventory = Inventory::take(repository, local).await?;
    refuse_unreadable(&inventory)?;
    let index = Arc::new(std::mem::take(&mut inventory.index));
    let frames = FrameReader::new(Arc::clone(repository), Arc::clone(&index), CACHE_BYTES);
    let mut marks = Marks::new(&index);
    let marked = mark_all(
        &mut marks,
        &frames,
        &inventory.snapshots.snapshots,
        &HashSet::new(),
        control,
    )
    .await?;
    drop(frames);
    let facts = inventory.pack_facts(&index, marks.live_bytes());
    let lost = facts.iter().any(|pack| !pack.is_present && pack.live_bytes > 0);
    let is_lacking = marks.missing_count > 0 || lost;
    let unindexed: Vec<_> = if is_lacking {
        // What is missing may lie in packs that no segment describes.
        monitor.tell(
            Severity::Warning,
            "ChunksMissing",
            b"",
            "snapshots need chunks that no pack known holds; packs without a segment are left alone until `repair` has looked at them",
        );
        Vec::new()
    } else {
        inventory
            .unindexed(&index)
            .into_iter()
            .filter(|(id, _)| !remembered.contains(id) || inventory.doomed.contains(id))
            .collect()
    };
    let plan = CompactionPlan::decide(&facts, &inventory.segments, &unindexed, thresholds);
    let removed = plan.removed.iter().map(|pack| pack.id).collect();
    let rewritten = plan
        .removed
        .iter()
        .filter(|pack| pack.verdict.is_rewritten())
        .map(|pack| pack.id)
        .collect();
    let first_frames = index.packs().map(|pack| (pack.id, pack.first_frame.0)).collect();
    Ok(Survey {
        inventory,
        index,
        marks,
        first_frames,
        marked,
        plan,
        rewritten,
        removed,
        is_lacking,
    })
}

/// Marks every snapshot that is not in `known`; returns all that are marked now.
pub async fn mark_all(
    marks: &mut Marks,
    frames: &FrameReader,
    snapshots: &[(SnapshotId, Manifest)],
    known: &HashSet<SnapshotId>,
    control: &RunControl,
) -> Result<HashSet<SnapshotId>, RunError> {
    let mut marked = known.clone();
    for (id, manifest) in snapshots {
        control.check()?;
        if marked.insert(*id) {
            mark_snapshot(marks, frames, *id, manifest)
                .await
                .map_err(|error| match error {
                    MarkError::Target(error) => RunError::from(error),
                    error => RunError::Refused(error.to_string()),
                })?;
        }
    }
    Ok(marked)
}

/// Fails when something cannot be read that may need or describe more than is known.
pub fn refuse_unreadable(inventory: &Inventory) -> Result<(), RunError> {
    let refused = |what: String, why: &dyn std::fmt::Display, way_out: &str| {
        Err(RunError::Refused(format!(
            "{what} cannot be read, so nothing may be deleted: {why}; {way_out}"
        )))
    };
    if let Some((id, error)) = inventory.snapshots.unreadable.first() {
        return refused(
            format!("snapshot {id}"),
            error,
            &format!(
                "bring {} back from a copy of the destination, or give that version up: `delete --give-up={id}`",
                ObjectName::from(*id)
            ),
        );
    }
    // Snapshots that somebody removed, or that a broken target does not list, look like none at all: then everything would be waste.
    if inventory.snapshots.snapshots.is_empty() && !inventory.packs.is_empty() {
        return Err(RunError::Refused(format!(
            "the repository lists no version although it holds {} packs, so nothing may be deleted; if the versions are gone by accident, bring the \
             files of its folder `snapshots` back, and if the whole repository is to go, delete its folder",
            inventory.packs.len()
        )));
    }
    if let Some((id, error)) = inventory.unreadable_segments.first() {
        return refused(format!("index segment {id}"), error, "run `repair`");
    }
    if let Some(pack) = inventory.contradictions.first() {
        // One of the two is wrong, and what the pack really holds might be needed.
        return Err(RunError::Refused(format!(
            "two index segments describe {} differently, so nothing may be deleted; run `repair`",
            ObjectName::from(*pack)
        )));
    }
    if let Some((id, error)) = inventory.unreadable_plans.first() {
        return refused(format!("collection plan {id}"), error, "run `repair`");
    }
    Ok(())
}
