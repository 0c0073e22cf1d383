// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which packs are not what the index says: those whose size tells it, those that somebody has found damaged, or every pack that is read now.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    format::index_segment::PackDescription, id::PackId, index::ChunkIndex, repository::Repository,
};

use crate::{
    compact::read_segment,
    control::RunControl,
    error::RunError,
    events::Monitor,
    inventory::Inventory,
    verify::{FindingKind, read_packs},
};

/// What reading the suspects showed.
#[derive(Default)]
pub struct Suspects {
    /// Packs that are not what the index says, and why.
    pub damaged: Vec<(PackId, String)>,
    /// What the index says of those.
    pub described: HashMap<PackId, Vec<PackDescription>>,
    /// Packs that are whole and described rightly.
    pub whole: Vec<PackId>,
    /// Those of them that some segment describes wrongly as well.
    pub contradicted: Vec<PackId>,
}

/// Reads every suspect. `noted` are the packs that were found damaged before; `all` makes a suspect of every pack.
pub async fn look(
    repository: &Arc<Repository>,
    inventory: &Arc<Inventory>,
    index: &ChunkIndex,
    noted: &HashSet<PackId>,
    all: bool,
    monitor: &Monitor,
    control: &RunControl,
) -> Result<Suspects, RunError> {
    let contradicted: HashSet<PackId> = inventory.contradictions.iter().copied().collect();
    let mut suspects: BTreeSet<PackId> = BTreeSet::new();
    for pack in index.packs() {
        let Some(size) = inventory.packs.get(&pack.id) else {
            continue;
        };
        if all || *size != pack.object_size || noted.contains(&pack.id) || contradicted.contains(&pack.id) {
            suspects.insert(pack.id);
        }
    }
    let findings = read_packs(
        repository,
        inventory,
        suspects.iter().copied().collect(),
        monitor,
        control,
    )
    .await?;
    let mut result = Suspects::default();
    for (pack, kind, why) in findings {
        suspects.remove(&pack);
        // What vanished since the listing is the business of whoever removed it.
        if kind != FindingKind::Missing {
            result.damaged.push((pack, why));
        }
    }
    result.damaged.sort();
    result.whole = suspects.into_iter().collect();
    result.contradicted = result
        .whole
        .iter()
        .filter(|id| contradicted.contains(id))
        .copied()
        .collect();
    let damaged: HashSet<PackId> = result.damaged.iter().map(|(id, _)| *id).collect();
    for segment in &inventory.segments {
        if !segment.packs.iter().any(|pack| damaged.contains(pack)) {
            continue;
        }
        for pack in read_segment(repository, segment.id).await? {
            if damaged.contains(&pack.id) {
                let known = result.described.entry(pack.id).or_default();
                if !known.contains(&pack) {
                    known.push(pack);
                }
            }
        }
    }
    Ok(result)
}
