// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the target holds, listed in an order in which nothing that belongs together can be missed.
//!
//! Plans first (S-2), then snapshots, then segments, then packs: whatever a snapshot needs was stored before its manifest (S-1), so it is seen when it
//! is looked for later.

use std::collections::{HashMap, HashSet};

use duplicati_engine::{
    compaction::{PackFacts, SegmentFacts},
    format::{
        FORMAT_VERSION, FormatError,
        index_segment::PackDescription,
        session::{Plan, Session},
    },
    id::{PackId, PlanId, RepositoryId, SegmentId, SnapshotId},
    index::{ChunkIndex, chunk_index::FrameOrdinal, local::LocalState},
    repository::{IndexSource, LoadedIndex, Repository, RepositoryError, SnapshotListing},
    storage::{ObjectKind, ObjectName, StoreErrorKind},
};

use crate::error::RunError;

/// Times that the index is loaded again when a segment vanishes under the reader, as it does while another machine compacts.
const RELOADS_MAX: usize = 5;

/// Everything that the target lists, and the index.
pub struct Inventory {
    /// Collection plans.
    pub plans: Vec<(PlanId, Plan)>,
    /// Plans that cannot be read.
    pub unreadable_plans: Vec<(PlanId, RepositoryError)>,
    /// Snapshots and fences.
    pub snapshots: SnapshotListing,
    /// Where each chunk lies; may be taken out. Packs that are there and not condemned come first, so a chunk in several packs counts for one that stays.
    pub index: ChunkIndex,
    /// Segments and the packs they describe.
    pub segments: Vec<SegmentFacts>,
    /// Segments that cannot be read.
    pub unreadable_segments: Vec<(SegmentId, RepositoryError)>,
    /// Packs that the target lists, with their sizes in bytes.
    pub packs: HashMap<PackId, u64>,
    /// Names in our folders that are not ours (S-5).
    pub foreign: Vec<String>,
    /// Packs that a plan names.
    pub doomed: HashSet<PackId>,
    /// Hash of each pack's description, to compare with its footer.
    pub descriptions: HashMap<PackId, [u8; 16]>,
    /// Packs that two segments describe differently.
    pub contradictions: Vec<PackId>,
    /// Packs that were found damaged on this machine; they only count where nothing else has a chunk.
    pub damaged: HashSet<PackId>,
}

/// Hash of a description, to recognise it again.
pub fn description_hash(pack: &PackDescription) -> [u8; 16] {
    let mut encoded = Vec::new();
    pack.encode(&mut encoded);
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(&encoded).as_bytes()[..16]);
    hash
}

impl Inventory {
    /// Takes it.
    ///
    /// # Errors
    /// When the target does not answer. Damage is part of the result.
    pub async fn take(repository: &Repository, local: Option<&mut LocalState>) -> Result<Self, RunError> {
        let (plans, unreadable_plans, mut foreign) = list_plans(repository).await?;
        let doomed: HashSet<PackId> = plans
            .iter()
            .flat_map(|(_, plan)| plan.packs.iter().copied())
            .collect();
        let doomed_segments: HashSet<SegmentId> = plans
            .iter()
            .flat_map(|(_, plan)| plan.segments.iter().copied())
            .collect();
        let mut inventory = Self::load(repository, local, doomed, &HashSet::new(), &doomed_segments).await?;
        inventory.plans = plans;
        inventory.unreadable_plans = unreadable_plans;
        foreign.append(&mut inventory.foreign);
        inventory.foreign = foreign;
        Ok(inventory)
    }

    /// The part after the plans; `doomed` are the packs that only count where nothing else has a chunk, and those in `given_up` count least: somebody else
    /// may be about to delete them.
    ///
    /// # Errors
    /// When the target does not answer.
    pub async fn load(
        repository: &Repository,
        mut local: Option<&mut LocalState>,
        doomed: HashSet<PackId>,
        given_up: &HashSet<PackId>,
        doomed_segments: &HashSet<SegmentId>,
    ) -> Result<Self, RunError> {
        let mut snapshots = repository.list_snapshots().await?;
        let damaged = match local.as_deref() {
            Some(local) => local.damaged_packs()?,
            None => HashSet::new(),
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (mut packs, _) = list_packs(repository).await?;
            let mut index = ChunkIndex::new();
            let mut postponed: Vec<PackDescription> = Vec::new();
            let mut by_segment: HashMap<SegmentId, Vec<PackId>> = HashMap::new();
            let mut descriptions = HashMap::new();
            let mut contradictions = Vec::new();
            let loaded = repository
                .load_index(local.as_deref_mut(), |source, pack| {
                    if let IndexSource::Segment(id) = source {
                        by_segment.entry(id).or_default().push(pack.id);
                    }
                    let hash = description_hash(&pack);
                    if *descriptions.entry(pack.id).or_insert(hash) != hash {
                        contradictions.push(pack.id);
                    }
                    if packs.get(&pack.id) == Some(&pack.object_size_bytes)
                        && !doomed.contains(&pack.id)
                        && !given_up.contains(&pack.id)
                        && !damaged.contains(&pack.id)
                    {
                        index.add(&pack);
                    } else if !index.contains_pack(&pack.id) {
                        postponed.push(pack);
                    }
                })
                .await?;
            let LoadedIndex {
                segments,
                unreadable,
                foreign,
                ..
            } = loaded;
            let has_vanished = unreadable.iter().any(|(_, error)| is_not_found(error));
            if has_vanished && attempt < RELOADS_MAX {
                continue;
            }
            let (listed, mut foreign_packs) = list_packs(repository).await?;
            packs = listed;
            // Stored since the first listing, then condemned, then damaged inside, then cut off, then missing.
            postponed.sort_by_key(|pack| {
                let size = packs.get(&pack.id);
                (
                    size.is_none(),
                    size != Some(&pack.object_size_bytes),
                    given_up.contains(&pack.id),
                    damaged.contains(&pack.id),
                    doomed.contains(&pack.id),
                )
            });
            postponed.iter().for_each(|pack| index.add(pack));
            let mut foreign_names = std::mem::take(&mut snapshots.foreign);
            foreign_names.extend(foreign);
            foreign_names.append(&mut foreign_packs);
            let segments = segments
                .into_iter()
                .map(|(id, _, size_bytes)| SegmentFacts {
                    id,
                    size_bytes,
                    packs: by_segment.remove(&id).unwrap_or_default(),
                    is_doomed: doomed_segments.contains(&id),
                })
                .collect();
            return Ok(Self {
                plans: Vec::new(),
                unreadable_plans: Vec::new(),
                snapshots,
                index,
                segments,
                unreadable_segments: unreadable,
                packs,
                foreign: foreign_names,
                doomed,
                descriptions,
                contradictions,
                damaged,
            });
        }
    }

    /// Packs that the target lists and no segment describes, with their sizes.
    pub fn unindexed(&self, index: &ChunkIndex) -> Vec<(PackId, u64)> {
        let mut unindexed: Vec<_> = self
            .packs
            .iter()
            .filter(|(id, _)| !index.contains_pack(id))
            .map(|(id, size)| (*id, *size))
            .collect();
        unindexed.sort_unstable();
        unindexed
    }

    /// Figures of all packs; `live_bytes` of each frame as marking counted them.
    pub fn pack_facts(&self, index: &ChunkIndex, live_bytes: &[u32]) -> Vec<PackFacts> {
        index
            .packs()
            .map(|pack| {
                let frames = pack.first_frame.0..pack.first_frame.0 + pack.frame_count;
                let raw_bytes = frames
                    .clone()
                    .map(|frame| u64::from(index.frame(FrameOrdinal(frame)).raw_size))
                    .sum();
                let live_bytes = frames
                    .map(|frame| live_bytes.get(frame as usize).copied().map_or(0, u64::from))
                    .sum();
                PackFacts {
                    id: pack.id,
                    class: pack.class,
                    size_bytes: pack.object_size,
                    raw_bytes,
                    live_bytes,
                    is_present: self.packs.contains_key(&pack.id),
                    is_doomed: self.doomed.contains(&pack.id),
                }
            })
            .collect()
    }
}

/// Whether an error says that the object is gone.
pub fn is_not_found(error: &RepositoryError) -> bool {
    matches!(error, RepositoryError::Store(error) if error.kind == StoreErrorKind::NotFound)
}

/// The packs that the target lists, and foreign names.
///
/// # Errors
/// When the target does not answer.
pub async fn list_packs(repository: &Repository) -> Result<(HashMap<PackId, u64>, Vec<String>), RunError> {
    let listing = repository.store.list(ObjectKind::Pack).await?;
    let packs = listing
        .objects
        .iter()
        .map(|info| (PackId(info.name.id()), info.size_bytes))
        .collect();
    Ok((packs, listing.foreign))
}

/// The index for reading: packs that are there in full and not known to be damaged come first, so a chunk that was stored again after damage is read
/// from where it is whole.
///
/// # Errors
/// When the target does not answer. Unreadable segments are part of the answer.
pub async fn load_reading_index(
    repository: &Repository,
    local: Option<&mut LocalState>,
) -> Result<(ChunkIndex, LoadedIndex), RunError> {
    let (packs, _) = list_packs(repository).await?;
    let damaged = match local.as_deref() {
        Some(local) => local.damaged_packs()?,
        None => HashSet::new(),
    };
    let mut index = ChunkIndex::new();
    let mut postponed: Vec<PackDescription> = Vec::new();
    let loaded = repository
        .load_index(local, |_, pack| {
            if packs.get(&pack.id) == Some(&pack.object_size_bytes) && !damaged.contains(&pack.id) {
                index.add(&pack);
            } else {
                postponed.push(pack);
            }
        })
        .await?;
    postponed.sort_by_key(|pack| {
        let size = packs.get(&pack.id);
        (size.is_none(), size != Some(&pack.object_size_bytes))
    });
    postponed.iter().for_each(|pack| index.add(pack));
    Ok((index, loaded))
}

type Plans = (Vec<(PlanId, Plan)>, Vec<(PlanId, RepositoryError)>, Vec<String>);

/// All collection plans; those that vanish meanwhile are done.
///
/// # Errors
/// When the target does not answer.
pub async fn list_plans(repository: &Repository) -> Result<Plans, RunError> {
    let listing = repository.store.list(ObjectKind::Plan).await?;
    let mut plans = Vec::new();
    let mut unreadable = Vec::new();
    for info in listing.objects {
        let id = PlanId(info.name.id());
        let plan = read_json::<Plan>(repository, &info.name).await.and_then(|plan| {
            is_ours(repository, &info.name, plan.version, plan.repository_id)?;
            Ok(plan)
        });
        match plan {
            Ok(plan) => plans.push((id, plan)),
            Err(error) if is_not_found(&error) => {}
            Err(error) if error.is_damage() => unreadable.push((id, error)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((plans, unreadable, listing.foreign))
}

/// A session and what it says, if it can be read.
pub type ListedSession = (SnapshotId, Result<Session, RepositoryError>);

/// All sessions.
///
/// # Errors
/// When the target does not answer.
pub async fn list_sessions(repository: &Repository) -> Result<Vec<ListedSession>, RunError> {
    let listing = repository.store.list(ObjectKind::Session).await?;
    let mut sessions = Vec::new();
    for info in listing.objects {
        let id = SnapshotId(info.name.id());
        let session = read_json::<Session>(repository, &info.name)
            .await
            .and_then(|session| {
                is_ours(repository, &info.name, session.version, session.repository_id)?;
                Ok(session)
            });
        match session {
            Err(error) if is_not_found(&error) => {}
            Err(error) if !error.is_damage() => return Err(error.into()),
            session => sessions.push((id, session)),
        }
    }
    Ok(sessions)
}

/// What another repository or a newer program wrote says nothing that could be relied on, although it opens and parses.
fn is_ours(
    repository: &Repository,
    name: &ObjectName,
    version: u32,
    id: RepositoryId,
) -> Result<(), RepositoryError> {
    let source = if version != u32::from(FORMAT_VERSION) {
        FormatError::UnknownVersion {
            object: "object",
            found: version.into(),
        }
    } else if id != repository.config.repository_id {
        FormatError::damaged("object", format!("it belongs to repository {id}"))
    } else {
        return Ok(());
    };
    Err(RepositoryError::object(name, repository.store.location(), source))
}

/// What every version of a plan or session has.
#[derive(serde::Deserialize)]
struct Head {
    version: u64,
}

async fn read_json<T: serde::de::DeserializeOwned>(
    repository: &Repository,
    name: &ObjectName,
) -> Result<T, RepositoryError> {
    let content = repository.get_object(name, &repository.index).await?;
    let wrong = |source: FormatError| RepositoryError::object(name, repository.store.location(), source);
    let damaged = |error: serde_json::Error| wrong(FormatError::damaged("object", error.to_string()));
    // First: what a newer program writes need not have the members of today (F-8).
    let head: Head = serde_json::from_slice(&content).map_err(damaged)?;
    if head.version > u64::from(FORMAT_VERSION) {
        return Err(wrong(FormatError::UnknownVersion {
            object: "object",
            found: head.version,
        }));
    }
    serde_json::from_slice(&content).map_err(damaged)
}
