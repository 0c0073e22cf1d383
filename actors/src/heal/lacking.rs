// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Data that the versions of the target need and no index there names any more, as after a repair that had nowhere to fetch it from.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    format::{index_segment::PackDescription, manifest::Manifest},
    id::{PackId, SegmentId, SnapshotId},
    index::id_table::IdTable,
    storage::{ObjectKind, ObjectName},
};

use super::{
    Healer,
    findings::{FoundVersions, encoded},
    job,
};
use crate::{
    compact::{put_segment, read_segment},
    error::RunError,
    inventory::{Inventory, description_hash},
    verify::{Finding, VerifyReport, examine},
};

/// Brings packs with lacking chunks, until nothing is lacking or nothing more can be had. Versions that are still to be put count as if they were there;
/// one that only the second target has and of which something is still lacking is taken out of `versions`. Gives what is wrong in the end.
pub async fn bring(
    healer: &mut Healer,
    inventory: &Inventory,
    versions: &mut FoundVersions,
) -> Result<Vec<Finding>, RunError> {
    let mut tried: HashSet<PackId> = HashSet::new();
    loop {
        let check = check(healer, &versions.manifests, true).await?;
        let mut packs = if check.lost.is_empty() {
            Vec::new()
        } else {
            packs_with(healer, &check.lost).await?
        };
        packs.retain(|(id, _)| !inventory.doomed.contains(id) && tried.insert(*id));
        if packs.is_empty() {
            if !check.lost.is_empty() {
                keep_out_incomplete(healer, versions).await?;
            }
            return Ok(check.findings);
        }
        // Each round has packs that no round before had, so this ends. A folder that can be read again may name more.
        fetch(healer, packs).await?;
    }
}

/// Looks at the first target as if `versions` were there; with `own`, at its own versions too.
async fn check(
    healer: &Healer,
    versions: &[(SnapshotId, Manifest)],
    own: bool,
) -> Result<VerifyReport, RunError> {
    let mut inventory = Inventory::take(&healer.first, None).await?;
    let snapshots = &mut inventory.snapshots;
    if !own {
        snapshots.snapshots.clear();
    }
    for version in versions {
        snapshots.unreadable.retain(|(id, _)| *id != version.0);
        snapshots.snapshots.push(version.clone());
    }
    let index = Arc::new(std::mem::take(&mut inventory.index));
    let mut report = VerifyReport::default();
    examine(&healer.first, &inventory, &index, &mut report, &healer.control).await?;
    Ok(report)
}

/// A version with holes is not what was asked for, and it would keep its data from being collected.
async fn keep_out_incomplete(healer: &mut Healer, versions: &mut FoundVersions) -> Result<(), RunError> {
    let mut complete = Vec::new();
    for job in std::mem::take(&mut versions.elsewhere) {
        let alone: Vec<_> = versions
            .manifests
            .iter()
            .filter(|(id, _)| ObjectName::from(*id) == job.name)
            .cloned()
            .collect();
        if check(healer, &alone, false).await?.lost.is_empty() {
            complete.push(job);
            continue;
        }
        healer.fail(
            job.name.to_string(),
            "this version was not brought back, because not all of its data could be had from the second destination".to_owned(),
        );
    }
    versions.elsewhere = complete;
    Ok(())
}

/// The packs of the second target that hold any of the chunks.
async fn packs_with(healer: &Healer, lost: &IdTable<()>) -> Result<Vec<(PackId, PackDescription)>, RunError> {
    let mut found: HashMap<PackId, PackDescription> = HashMap::new();
    for info in healer.second.store.list(ObjectKind::IndexSegment).await?.objects {
        let packs = match read_segment(&healer.second, SegmentId(info.name.id())).await {
            Ok(packs) => packs,
            Err(RunError::Repository(error)) if error.is_damage() => continue,
            Err(error) => return Err(error),
        };
        for pack in packs {
            let has_lost = pack
                .footer
                .frames
                .iter()
                .flat_map(|frame| &frame.chunks)
                .any(|(id, _)| lost.get(&id.prefix()).is_some());
            if has_lost {
                found.insert(pack.id, pack);
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Fetches the packs that are not there or not right, and describes all of them.
async fn fetch(healer: &mut Healer, packs: Vec<(PackId, PackDescription)>) -> Result<(), RunError> {
    let mut jobs = Vec::new();
    let mut whole = Vec::new();
    let listed: HashSet<ObjectName> = healer
        .first
        .store
        .list(ObjectKind::Pack)
        .await?
        .objects
        .into_iter()
        .map(|info| info.name)
        .collect();
    for (id, pack) in &packs {
        let (name, hash) = (ObjectName::from(*id), description_hash(pack));
        let is_there = listed.contains(&name);
        if is_there && healer.is_right(name, hash).await? {
            whole.push(*id);
            continue;
        }
        jobs.push(job(name, pack.object_size_bytes, Some(hash), is_there));
    }
    let before = healer.healed_packs.len();
    healer.carry_out(jobs).await?;
    whole.extend(&healer.healed_packs[before..]);
    let described: Vec<Vec<u8>> = packs
        .iter()
        .filter(|(id, _)| whole.contains(id))
        .map(|(_, pack)| encoded(pack))
        .collect();
    if !described.is_empty() {
        put_segment(&healer.first, &described).await?;
    }
    Ok(())
}
