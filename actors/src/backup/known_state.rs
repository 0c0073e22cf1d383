// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the repository has before a backup begins: chunks that need not be stored again, and the version that says which files need no reading.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    format::{
        codec::Decoder, index_segment::PackDescription, manifest::Manifest, pack::PackClass,
        path_text::PathText,
    },
    id::{PackId, SnapshotId},
    index::{ChunkIndex, ChunkSet, local::LocalState},
    repository::{Repository, SnapshotListing},
    storage::ObjectName,
};

use super::options::{BackupOptions, ChangeDetection};
use crate::{
    error::RunError,
    events::{Monitor, Severity},
    inventory::{list_packs, list_plans},
};

/// What the repository already has.
pub struct KnownState {
    /// Chunks in packs that stay.
    pub known: Arc<ChunkSet>,
    /// Packs that this machine stored and no segment describes yet, with their encoded descriptions.
    pub remembered: Vec<(PackId, Vec<u8>)>,
    /// The version to compare with.
    pub parent: Option<(SnapshotId, Manifest)>,
    /// Where the chunks of trees lie.
    pub tree_index: Arc<ChunkIndex>,
}

/// Sorts packs into those that are deduplicated against and the rest.
struct Usable {
    condemned: HashSet<PackId>,
    damaged: HashSet<PackId>,
    can_read: bool,
    known: Arc<ChunkSet>,
    tree_index: ChunkIndex,
    /// Not listed, or not in full.
    absent: Vec<PackDescription>,
    /// Known to be damaged inside.
    doubtful: u64,
}

impl Usable {
    fn take(&mut self, packs: &HashMap<PackId, u64>, pack: PackDescription) {
        if self.condemned.contains(&pack.id) {
            return;
        }
        if packs.get(&pack.id) != Some(&pack.object_size_bytes) {
            self.absent.push(pack);
            return;
        }
        if self.damaged.contains(&pack.id) {
            self.doubtful += 1;
            return;
        }
        for frame in &pack.footer.frames {
            for (id, _) in &frame.chunks {
                self.known.insert(id);
            }
        }
        // Trees are all that a backup reads back: the parent's, and its own when its session was ended.
        if self.can_read && pack.footer.class == PackClass::Tree {
            self.tree_index.add(&pack);
        }
    }
}

/// Loads it; also forgets what this machine remembered of packs that are described or gone by now.
///
/// # Errors
/// When the target does not answer, or a collection plan cannot be read.
pub async fn load_known_state(
    repository: &Arc<Repository>,
    local: &mut LocalState,
    options: &BackupOptions,
    monitor: &Monitor,
) -> Result<KnownState, RunError> {
    let condemned = condemned_packs(repository).await?;
    // Only packs that the target lists in full are deduplicated against: what an index says of others would become a hole. So the next
    // backup also replaces what a lost pack held, as far as the sources still have it.
    let (packs, _) = list_packs(repository).await?;
    let can_read = repository.data.can_open();
    let parent = match can_read {
        true => choose_parent(repository.list_snapshots().await?, options),
        false => None,
    };
    let mut usable = Usable {
        condemned,
        damaged: local.damaged_packs()?,
        can_read,
        known: Arc::new(ChunkSet::default()),
        tree_index: ChunkIndex::new(),
        absent: Vec::new(),
        doubtful: 0,
    };
    let loaded = repository
        .load_index(Some(local), |_, pack| usable.take(&packs, pack))
        .await?;
    for (id, error) in &loaded.unreadable {
        let message =
            format!("an index segment cannot be read, its chunks are stored again; run `repair`: {error}");
        monitor.tell(
            Severity::Warning,
            "IndexSegmentUnreadable",
            ObjectName::from(*id).to_string().as_bytes(),
            message,
        );
    }
    let mut remembered = Vec::new();
    let mut settled = Vec::new();
    let stored = local.stored_packs()?;
    for (id, description) in stored {
        let decoded = PackDescription::decode(&mut Decoder::new("remembered pack", &description));
        // Only what the target really has is believed (S-5).
        let is_usable = !usable.condemned.contains(&id) && decoded.as_ref().is_ok_and(|pack| pack.id == id);
        match decoded {
            Ok(pack) if is_usable && packs.get(&id) == Some(&pack.object_size_bytes) => {
                usable.take(&packs, pack);
                remembered.push((id, description));
            }
            _ => settled.push(id),
        }
    }
    if !usable.absent.is_empty() {
        // Another machine may have stored and described them since the listing.
        let (packs, _) = list_packs(repository).await?;
        for pack in std::mem::take(&mut usable.absent) {
            usable.take(&packs, pack);
        }
    }
    if !usable.absent.is_empty() {
        let message = format!(
            "{} packs that the index names are missing or cut off at the target; `test` says which files they cost",
            usable.absent.len()
        );
        monitor.tell(Severity::Warning, "PacksMissing", b"", message);
    }
    let doubtful = usable.doubtful;
    if doubtful > 0 {
        let message = format!(
            "{doubtful} packs were found damaged before; what the sources still have of them is stored again. Run `repair`: it saves what still opens, and \
             no other machine uses them any more"
        );
        monitor.tell(Severity::Warning, "PacksDamaged", b"", message);
    }
    local.remove_stored_packs(&settled)?;
    Ok(KnownState {
        known: usable.known,
        remembered,
        parent,
        tree_index: Arc::new(usable.tree_index),
    })
}

/// Packs that some collector means to delete.
async fn condemned_packs(repository: &Repository) -> Result<HashSet<PackId>, RunError> {
    let (plans, unreadable, _) = list_plans(repository).await?;
    if let Some((id, error)) = unreadable.first() {
        // Without knowing what it condemns, every known chunk might be about to go.
        let name = ObjectName::from(*id);
        return Err(RunError::Refused(if error.is_newer() {
            format!(
                "a newer program wrote the collection plan {name}; run `compact` with that program, then back up again"
            )
        } else {
            format!(
                "the collection plan {name} cannot be read; run `repair` to settle it, then back up again"
            )
        }));
    }
    Ok(plans.into_iter().flat_map(|(_, plan)| plan.packs).collect())
}

/// The newest snapshot of this host with the same sources and job, else one that has part of that in common: its tree says which files need no reading.
fn choose_parent(listing: SnapshotListing, options: &BackupOptions) -> Option<(SnapshotId, Manifest)> {
    // Another machine's file may have the same time and other content, and what is taken over without a look must be of this machine.
    let is_of_this_host_only =
        options.change_detection == ChangeDetection::TimeOnly || options.selection.is_some();
    let sources: Vec<PathText> = options
        .sources
        .iter()
        .map(|path| PathText(path.clone()))
        .collect();
    let mut best = None;
    for (id, manifest) in listing.snapshots {
        let rank = (
            manifest.host == options.host,
            manifest.sources == sources,
            manifest.name == options.name,
        );
        if (rank.0 || (rank.1 && !is_of_this_host_only))
            && best.as_ref().is_none_or(|(known, _)| rank >= *known)
        {
            best = Some((rank, (id, manifest)));
        }
    }
    best.map(|(_, found)| found)
}
