// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What both targets hold, as far as a copy is made of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    index::local::LocalState,
    repository::Repository,
    storage::{Listing, ObjectInfo, ObjectKind, ObjectName, Store, StoreErrorKind},
};

use crate::{error::RunError, inventory::Inventory};

/// The kinds that a copy is made of, besides the config, in the order in which they are listed: whatever a manifest needs was stored before it (S-1),
/// so it is seen when it is looked for later.
const KINDS: [ObjectKind; 4] = [
    ObjectKind::Snapshot,
    ObjectKind::IndexSegment,
    ObjectKind::Pack,
    ObjectKind::Key,
];

/// The first target.
pub struct SourceState {
    /// Everything to be copied.
    pub objects: Vec<ObjectInfo>,
    /// Hash of what the index says about each pack, by the bytes of its id.
    pub descriptions: HashMap<[u8; 16], [u8; 16]>,
    /// Packs that the index names and the target does not list.
    pub lacking: Vec<ObjectName>,
    /// Names and dates of the versions, oldest first.
    versions: Vec<(ObjectName, String)>,
}

impl SourceState {
    /// Lists it.
    pub async fn take(repository: &Repository, local: Option<&mut LocalState>) -> Result<Self, RunError> {
        let inventory = Inventory::take(repository, local).await?;
        let fences: HashSet<[u8; 16]> = inventory.snapshots.fences.iter().map(|id| id.0).collect();
        let mut objects = Vec::new();
        for kind in KINDS {
            objects.append(&mut repository.store.list(kind).await?.objects);
        }
        objects.retain(|info| info.name.kind() != ObjectKind::Snapshot || !fences.contains(&info.name.id()));
        let config = repository.store.get(&ObjectName::CONFIG, None).await?;
        objects.push(ObjectInfo {
            name: ObjectName::CONFIG,
            size_bytes: config.len() as u64,
        });
        let listed: HashSet<ObjectName> = objects.iter().map(|info| info.name).collect();
        let lacking = inventory
            .index
            .packs()
            .map(|pack| pack.id)
            .filter(|id| !inventory.packs.contains_key(id) && !inventory.doomed.contains(id))
            .map(ObjectName::from)
            .filter(|name| !listed.contains(name))
            .collect();
        Ok(Self {
            objects,
            descriptions: inventory
                .descriptions
                .iter()
                .filter(|(id, _)| !inventory.contradictions.contains(id))
                .map(|(id, hash)| (id.0, *hash))
                .collect(),
            lacking,
            versions: inventory
                .snapshots
                .snapshots
                .iter()
                .map(|(id, manifest)| ((*id).into(), manifest.time.clone()))
                .collect(),
        })
    }

    /// Date of the newest version that is in another listing as well.
    pub fn newest_in(&self, there: &[ObjectInfo]) -> Option<String> {
        let there: HashSet<ObjectName> = there.iter().map(|info| info.name).collect();
        let mut newest_first = self.versions.iter().rev();
        newest_first
            .find(|(name, _)| there.contains(name))
            .map(|(_, time)| time.clone())
    }
}

/// What the second target holds of these kinds. `config` is the size of its config.
pub async fn of_target(
    target: &Arc<dyn Store>,
    config: Option<u64>,
    may_be_absent: bool,
    foreign: &mut Vec<String>,
) -> Result<Vec<ObjectInfo>, RunError> {
    let mut objects = Vec::new();
    foreign.clear();
    for kind in KINDS {
        let mut listing = match target.list(kind).await {
            Err(error) if may_be_absent && error.kind == StoreErrorKind::NotFound => Listing::default(),
            listing => listing?,
        };
        objects.append(&mut listing.objects);
        foreign.append(&mut listing.foreign);
    }
    objects.extend(config.map(|size_bytes| ObjectInfo {
        name: ObjectName::CONFIG,
        size_bytes,
    }));
    Ok(objects)
}
