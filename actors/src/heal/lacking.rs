// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Data that the versions of the target need and no index there names any more, as after a repair that had nowhere to fetch it from.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    clock::Clock,
    format::index_segment::PackDescription,
    id::{PackId, SegmentId},
    index::id_table::IdTable,
    storage::{ObjectKind, ObjectName},
};

use super::{Healer, job};
use crate::{
    compact::{put_segment, read_segment},
    error::RunError,
    inventory::{Inventory, description_hash},
    verify::{CheckOptions, VerifyReport, run_check},
};

/// Brings packs with lacking chunks, until nothing is lacking or nothing more can be had.
pub async fn bring(
    healer: &mut Healer,
    inventory: &Inventory,
    clock: &Arc<dyn Clock>,
) -> Result<(), RunError> {
    let mut tried: HashSet<PackId> = HashSet::new();
    loop {
        let check = check(healer, clock).await?;
        let mut packs = if check.lost.is_empty() {
            Vec::new()
        } else {
            packs_with(healer, &check.lost).await?
        };
        packs.retain(|(id, _)| !inventory.doomed.contains(id) && tried.insert(*id));
        if packs.is_empty() {
            for finding in check.findings {
                let known = healer
                    .report
                    .failures
                    .iter()
                    .any(|failure| failure.object == finding.object);
                if !known {
                    healer.fail(finding.object, finding.text);
                }
            }
            return Ok(());
        }
        // Each round has packs that no round before had, so this ends. A folder that can be read again may name more.
        fetch(healer, packs).await?;
    }
}

async fn check(healer: &Healer, clock: &Arc<dyn Clock>) -> Result<VerifyReport, RunError> {
    // Told once, at the end: what is lacking now may be there then.
    let silent = crate::events::Monitor::silent();
    run_check(
        Arc::clone(&healer.first),
        None,
        CheckOptions::default(),
        Arc::clone(clock),
        silent,
        healer.control.clone(),
    )
    .await
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
        if is_there {
            let content = healer.first.store.get(&name, None).await?;
            let checked = healer.checker.check_apart(name, content, Some(hash)).await?;
            if checked.is_ok() {
                whole.push(*id);
                continue;
            }
        }
        jobs.push(job(name, pack.object_size_bytes, Some(hash), is_there));
    }
    let before = healer.healed_packs.len();
    healer.carry_out(jobs).await?;
    whole.extend(&healer.healed_packs[before..]);
    let described: Vec<Vec<u8>> = packs
        .iter()
        .filter(|(id, _)| whole.contains(id))
        .map(|(_, pack)| {
            let mut encoded = Vec::new();
            pack.encode(&mut encoded);
            encoded
        })
        .collect();
    if !described.is_empty() {
        put_segment(&healer.first, &described).await?;
    }
    Ok(())
}
