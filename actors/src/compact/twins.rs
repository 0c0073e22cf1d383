// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Before one of two copies of a chunk goes, the other one is read.
//!
//! The index says where copies lie, not whether they are right. A chunk that was stored again because its first copy went bad would otherwise be taken for
//! the spare one. Only packs that go and hold copies of needed chunks cost anything here.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    compaction::PackVerdict,
    id::{ChunkId, PackId},
    index::chunk_index::FrameOrdinal,
    repository::{FrameReader, Repository, RepositoryError},
};

use super::{planner::read_segment, survey::Survey};
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Severity},
};

/// Opened frames kept, bytes: each is read once.
const CACHE_BYTES: u64 = 2 << 20;

/// What reading the staying copies showed.
#[derive(Default)]
pub struct Twins {
    /// Packs that must stay, because the other copy of something in them is not right.
    pub spared: BTreeMap<PackId, String>,
    /// Packs with copies that are not right.
    pub damaged: BTreeSet<PackId>,
}

/// A copy in a pack that goes, of a chunk that is needed and counted elsewhere.
struct Copy {
    chunk: ChunkId,
    going: PackId,
}

/// Reads the staying copy of every needed chunk in packs that go.
pub async fn prove(
    repository: &Arc<Repository>,
    survey: &Survey,
    monitor: &Monitor,
    control: &RunControl,
) -> Result<Twins, RunError> {
    let mut copies: BTreeMap<FrameOrdinal, Vec<Copy>> = BTreeMap::new();
    let going: HashSet<PackId> = survey
        .plan
        .removed
        .iter()
        .filter(|pack| pack.verdict != PackVerdict::DeleteUnindexed)
        .map(|pack| pack.id)
        .filter(|id| survey.inventory.packs.contains_key(id))
        .collect();
    let mut seen = HashSet::new();
    for segment in &survey.plan.segments {
        control.check()?;
        if going.is_empty() {
            break;
        }
        for pack in read_segment(repository, *segment).await? {
            if !going.contains(&pack.id) || !seen.insert(pack.id) {
                continue;
            }
            for (chunk, _) in pack.footer.frames.iter().flat_map(|frame| &frame.chunks) {
                if !survey.marks.is_live(chunk) {
                    continue;
                }
                let Some(place) = survey.index.find(chunk) else {
                    continue;
                };
                // The copy that counts is checked when it is moved, or stays.
                if survey.index.frame(place.frame).pack != pack.id {
                    copies.entry(place.frame).or_default().push(Copy {
                        chunk: *chunk,
                        going: pack.id,
                    });
                }
            }
        }
    }
    let frames = FrameReader::new(Arc::clone(repository), Arc::clone(&survey.index), CACHE_BYTES);
    let mut twins = Twins::default();
    for (frame, copies) in copies {
        control.check()?;
        let class = survey.index.frame(frame).class;
        for Copy { chunk, going } in copies {
            match frames.chunk(class, &chunk).await {
                Ok(_) => {}
                Err(error) if error.is_damage() => {
                    let pack = survey.index.frame(frame).pack;
                    if twins.damaged.insert(pack) {
                        tell(monitor, pack, &error);
                    }
                    twins
                        .spared
                        .entry(going)
                        .or_insert_with(|| format!("{error}; another pack with the same chunk stays"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(twins)
}

fn tell(monitor: &Monitor, pack: PackId, error: &RepositoryError) {
    monitor.tell(
        Severity::Error,
        "PackDamaged",
        pack.to_string().as_bytes(),
        format!("{error}; other packs that hold the same chunks stay, run `repair`"),
    );
}
