// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is missing or damaged at the target, as far as its listings and its index show it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    format::index_segment::PackDescription,
    id::{PackId, SegmentId, SnapshotId},
    storage::{ObjectKind, ObjectName},
};

use super::{Healer, job};
use crate::{
    compact::read_segment,
    error::RunError,
    follow::Job,
    inventory::{Inventory, description_hash},
    verify::read_packs,
};

/// A segment to be brought back, and what it describes.
pub struct FoundSegment {
    pub job: Job,
    pub packs: Vec<PackDescription>,
}

/// Segments that cannot be read, and those that describe packs which are there and which no other segment describes.
pub async fn segments(healer: &mut Healer, inventory: &Inventory) -> Result<Vec<FoundSegment>, RunError> {
    let second = Arc::clone(&healer.second);
    let theirs = second.store.list(ObjectKind::IndexSegment).await?.objects;
    let damaged: HashSet<SegmentId> = inventory
        .unreadable_segments
        .iter()
        .filter(|(_, error)| !error.is_newer())
        .map(|(id, _)| *id)
        .collect();
    let present: HashSet<SegmentId> = inventory.segments.iter().map(|segment| segment.id).collect();
    let mut found = Vec::new();
    for id in &damaged {
        if !theirs.iter().any(|info| info.name == ObjectName::from(*id)) {
            healer.fail(
                ObjectName::from(*id).to_string(),
                "this index file is damaged, and the second destination does not have it".to_owned(),
            );
        }
    }
    for info in theirs {
        let id = SegmentId(info.name.id());
        if present.contains(&id) {
            continue;
        }
        let is_damaged = damaged.contains(&id);
        let packs = match read_segment(&second, id).await {
            Ok(packs) => packs,
            Err(RunError::Repository(error)) if error.is_damage() => {
                if is_damaged {
                    healer.fail(
                        info.name.to_string(),
                        format!("it is damaged at both destinations: {error}"),
                    );
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_wanted = |pack: &PackDescription| {
            inventory.packs.contains_key(&pack.id)
                && !inventory.doomed.contains(&pack.id)
                && !inventory.descriptions.contains_key(&pack.id)
        };
        if is_damaged || packs.iter().any(is_wanted) {
            found.push(FoundSegment {
                job: job(info.name, info.size_bytes, None, is_damaged),
                packs,
            });
        }
    }
    Ok(found)
}

/// Packs that are named and not there, have another size than they should, or do not open.
pub async fn packs(
    healer: &Healer,
    inventory: &Arc<Inventory>,
    segments: &[FoundSegment],
    noted: HashSet<PackId>,
) -> Result<Vec<Job>, RunError> {
    let mut named: HashMap<PackId, (u64, Option<[u8; 16]>)> = HashMap::new();
    for pack in inventory.index.packs() {
        let hash = inventory.descriptions.get(&pack.id).copied();
        // Two descriptions: the pack itself decides.
        let hash = hash.filter(|_| !inventory.contradictions.contains(&pack.id));
        named.insert(pack.id, (pack.object_size, hash));
    }
    for pack in segments.iter().flat_map(|segment| &segment.packs) {
        named
            .entry(pack.id)
            .or_insert((pack.object_size_bytes, Some(description_hash(pack))));
    }
    named.retain(|id, _| !inventory.doomed.contains(id));
    let mut jobs = Vec::new();
    let mut suspects = Vec::new();
    for (id, (size, hash)) in &named {
        match inventory.packs.get(id) {
            // A segment that came with the second target alone may name what was collected here.
            None if !inventory.descriptions.contains_key(id) => {}
            None => jobs.push(job((*id).into(), *size, *hash, false)),
            Some(found) if found != size => jobs.push(job((*id).into(), *size, *hash, true)),
            Some(_)
                if healer.options.read_everything
                    || noted.contains(id)
                    || inventory.contradictions.contains(id) =>
            {
                suspects.push(*id);
            }
            Some(_) => {}
        }
    }
    suspects.retain(|id| inventory.descriptions.contains_key(id));
    if healer.first.data.can_open() {
        for (id, _, _) in read_packs(
            &healer.first,
            inventory,
            suspects,
            &healer.monitor,
            &healer.control,
        )
        .await?
        {
            if let Some((size, hash)) = named.get(&id) {
                jobs.push(job(id.into(), *size, *hash, true));
            }
        }
    }
    jobs.sort_by_key(|job| job.name);
    Ok(jobs)
}

/// Manifests that cannot be read; on request also those that only the second target has.
pub async fn versions(healer: &mut Healer, inventory: &Inventory) -> Result<Vec<Job>, RunError> {
    let first = &inventory.snapshots;
    let damaged: HashSet<SnapshotId> = first
        .unreadable
        .iter()
        .filter(|(_, error)| !error.is_newer() && healer.first.data.can_open())
        .map(|(id, _)| *id)
        .collect();
    let known: HashSet<SnapshotId> = first
        .snapshots
        .iter()
        .map(|(id, _)| *id)
        .chain(first.fences.iter().copied())
        .chain(first.unreadable.iter().map(|(id, _)| *id))
        .collect();
    let theirs = healer.second.list_snapshots().await?;
    let sizes: HashMap<ObjectName, u64> = healer
        .second
        .store
        .list(ObjectKind::Snapshot)
        .await?
        .objects
        .into_iter()
        .map(|info| (info.name, info.size_bytes))
        .collect();
    let size = |id: SnapshotId| sizes.get(&id.into()).copied().unwrap_or(0);
    let mut jobs: Vec<Job> = damaged
        .iter()
        .map(|id| job((*id).into(), size(*id), None, true))
        .collect();
    for (id, _) in &theirs.snapshots {
        if known.contains(id) {
            continue;
        }
        if healer.options.bring_back_versions {
            jobs.push(job((*id).into(), size(*id), None, false));
        } else {
            healer.report.versions_elsewhere += 1;
        }
    }
    Ok(jobs)
}
