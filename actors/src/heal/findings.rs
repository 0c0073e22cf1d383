// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is missing or damaged at the target, as far as its listings and its index show it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    format::{index_segment::PackDescription, manifest::Manifest},
    id::{PackId, SegmentId, SnapshotId},
    storage::{ObjectKind, ObjectName},
};

use super::{Healer, job};
use crate::{
    compact::{put_segment, read_segment},
    error::RunError,
    follow::Job,
    inventory::{Inventory, description_hash},
    verify::read_packs,
};

/// A segment to be brought back, and what it describes.
pub struct FoundSegment {
    pub job: Job,
    pub packs: Vec<PackDescription>,
    /// Whether it is there and cannot be read; else it is not there.
    is_damaged: bool,
}

/// What is to be done about packs.
pub struct PackFindings {
    pub jobs: Vec<Job>,
    /// Packs that only found segments name and that were read and are what those say, with the hash of the description.
    whole: HashMap<PackId, [u8; 16]>,
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
                is_damaged,
            });
        }
    }
    Ok(found)
}

/// Packs that are named and not there, have another size than they should, or do not open. A pack that nothing here names may have been taken out of
/// the index for being damaged, so it is read before anything names it again.
pub async fn packs(
    healer: &mut Healer,
    inventory: &Arc<Inventory>,
    segments: &[FoundSegment],
    noted: HashSet<PackId>,
) -> Result<PackFindings, RunError> {
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
    // What stands in a segment that is here and cannot be read was not collected.
    let expected: HashSet<PackId> = segments
        .iter()
        .filter(|segment| segment.is_damaged)
        .flat_map(|segment| &segment.packs)
        .map(|pack| pack.id)
        .collect();
    let mut jobs = Vec::new();
    let mut suspects = Vec::new();
    let mut whole = HashMap::new();
    for (id, (size, hash)) in &named {
        healer.control.check()?;
        let is_described = inventory.descriptions.contains_key(id);
        match inventory.packs.get(id) {
            // A segment that came with the second target alone may name what was collected here.
            None if !is_described && !expected.contains(id) => {}
            None => jobs.push(job((*id).into(), *size, *hash, false)),
            Some(found) if found != size => jobs.push(job((*id).into(), *size, *hash, true)),
            Some(_) if !is_described => {
                let Some(hash) = *hash else { continue };
                if !healer.first.data.can_open() {
                    // Nothing was taken out of the index through a segment that is still here.
                    if expected.contains(id) {
                        whole.insert(*id, hash);
                    } else {
                        healer.fail(
                            ObjectName::from(*id).to_string(),
                            "no index file describes it, and a write-only key cannot tell whether it is whole; use the full key".to_owned(),
                        );
                    }
                } else if healer.is_right((*id).into(), hash).await? {
                    whole.insert(*id, hash);
                } else {
                    jobs.push(job((*id).into(), *size, Some(hash), true));
                }
            }
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
    Ok(PackFindings { jobs, whole })
}

/// Heals packs, then what describes them (S-1). Of a segment that names packs which are not whole here, only what it says of the others is put.
pub async fn heal_data(
    healer: &mut Healer,
    inventory: &Inventory,
    segments: Vec<FoundSegment>,
    packs: PackFindings,
) -> Result<(), RunError> {
    let PackFindings { jobs, mut whole } = packs;
    let before = healer.healed_packs.len();
    let mut broken: HashSet<PackId> = jobs.iter().map(|job| PackId(job.name.id())).collect();
    let hashes: HashMap<PackId, [u8; 16]> = jobs
        .iter()
        .filter_map(|job| Some((PackId(job.name.id()), job.described?)))
        .collect();
    healer.carry_out(jobs).await?;
    for id in &healer.healed_packs[before..] {
        broken.remove(id);
        if let Some(hash) = hashes.get(id) {
            whole.insert(*id, *hash);
        }
    }
    let is_whole = |pack: &PackDescription| whole.get(&pack.id) == Some(&description_hash(pack));
    let is_described = |pack: &PackDescription| {
        inventory.descriptions.get(&pack.id) == Some(&description_hash(pack)) && !broken.contains(&pack.id)
    };
    let mut described = HashSet::new();
    let mut as_they_are = Vec::new();
    for segment in segments {
        let may_stand = |pack: &PackDescription| {
            is_whole(pack)
                || is_described(pack)
                // Nothing new is promised: the segment is here, and the collection takes both.
                || (segment.is_damaged && inventory.doomed.contains(&pack.id))
        };
        if segment.packs.iter().all(may_stand) {
            as_they_are.push(segment.job);
            continue;
        }
        if segment.is_damaged {
            healer.fail(
                segment.job.name.to_string(),
                "this index file is damaged and stays so, because not all data that it names could be had; what it says of the rest is put anew"
                    .to_owned(),
            );
        }
        let part: Vec<Vec<u8>> = segment
            .packs
            .iter()
            .filter(|pack| is_whole(pack) && described.insert(pack.id))
            .map(encoded)
            .collect();
        if !part.is_empty() && !healer.options.dry_run {
            put_segment(&healer.first, &part).await?;
        }
    }
    healer.carry_out(as_they_are).await
}

/// A description as a segment has it.
pub fn encoded(pack: &PackDescription) -> Vec<u8> {
    let mut encoded = Vec::new();
    pack.encode(&mut encoded);
    encoded
}

/// Versions to be put, which is done last of all.
#[derive(Default)]
pub struct FoundVersions {
    /// What cannot be read here.
    pub damaged: Vec<Job>,
    /// What only the second target has and is asked for.
    pub elsewhere: Vec<Job>,
    /// What the second target says of both.
    pub manifests: Vec<(SnapshotId, Manifest)>,
}

/// Manifests that cannot be read; on request also those that only the second target has.
pub async fn versions(healer: &mut Healer, inventory: &Inventory) -> Result<FoundVersions, RunError> {
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
    let mut found = FoundVersions::default();
    for id in &damaged {
        found.damaged.push(job((*id).into(), size(*id), None, true));
    }
    for (id, manifest) in theirs.snapshots {
        let is_new = !known.contains(&id);
        if is_new && !healer.options.bring_back_versions {
            healer.report.versions_elsewhere += 1;
            continue;
        }
        if is_new {
            found.elsewhere.push(job(id.into(), size(id), None, false));
        }
        if is_new || damaged.contains(&id) {
            found.manifests.push((id, manifest));
        }
    }
    refuse_during_collection(healer, &mut found).await?;
    Ok(found)
}

/// A collection counts what it means to delete as no version's, so no version may come back that could need it (S-3).
pub async fn refuse_during_collection(
    healer: &mut Healer,
    found: &mut FoundVersions,
) -> Result<(), RunError> {
    if found.elsewhere.is_empty() {
        return Ok(());
    }
    let plans = healer.first.store.list(ObjectKind::Plan).await?.objects;
    let Some(plan) = plans.first() else {
        return Ok(());
    };
    let count = found.elsewhere.len();
    healer.fail(
        plan.name.to_string(),
        format!(
            "no version comes back ({count} were to) while a collection is under way at the first destination or was cut off; run `compact` there \
             until it is over, then this again"
        ),
    );
    for job in std::mem::take(&mut found.elsewhere) {
        found
            .manifests
            .retain(|(id, _)| ObjectName::from(*id) != job.name);
    }
    Ok(())
}
