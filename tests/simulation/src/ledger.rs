// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What must hold after every step: a plain model of which snapshot holds which tree, and which chunks each needs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    compaction::{Referenced, TreeScan},
    format::{
        chunk_list::ChunkList, index_segment::decode_segment, manifest::SnapshotObject, pack::PackClass,
        tree::EntryBody,
    },
    id::{ChunkId, PackId, SegmentId, SnapshotId},
    index::ChunkIndex,
    repository::{FrameReader, Repository},
    snapshot::{TreeReader, WalkStep},
    storage::{ObjectKind, ObjectName},
};

use crate::server::{Direct, Server};

/// Name to content.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Something that must not be.
pub type Violation = String;

/// The model.
pub struct Ledger {
    server: Arc<Server>,
    /// Opened when the repository was made.
    pub repository: Arc<Repository>,
    /// Trees that snapshots must hold, as the machines' sources were.
    pub trees: HashMap<SnapshotId, Tree>,
    /// Reported as done.
    pub reported: BTreeSet<SnapshotId>,
    /// Deleted, or about to be, by retention.
    pub deleted: HashSet<SnapshotId>,
    /// What each machine's source holds.
    pub sources: Vec<Tree>,
    /// What the source held when each session was opened.
    sessions: HashMap<SnapshotId, Tree>,
    needed: HashMap<SnapshotId, HashSet<ChunkId>>,
    segments: HashMap<SegmentId, Vec<(PackId, Vec<ChunkId>)>>,
    /// Manifests that came to stand.
    pub committed: u64,
}

impl Ledger {
    pub fn new(server: Arc<Server>, repository: Arc<Repository>, machines: usize) -> Self {
        Self {
            server,
            repository,
            trees: HashMap::new(),
            reported: BTreeSet::new(),
            deleted: HashSet::new(),
            sources: vec![Tree::new(); machines],
            sessions: HashMap::new(),
            needed: HashMap::new(),
            segments: HashMap::new(),
            committed: 0,
        }
    }

    fn names(&self, kind: ObjectKind) -> Vec<ObjectName> {
        let listing = self.server.lock().listing(kind);
        listing.objects.into_iter().map(|info| info.name).collect()
    }

    /// A fresh index over what is there.
    pub async fn index(&self) -> Result<Arc<ChunkIndex>, Violation> {
        let packs: HashSet<PackId> = self
            .names(ObjectKind::Pack)
            .iter()
            .map(|name| PackId(name.id()))
            .collect();
        let mut index = ChunkIndex::new();
        let loaded = self
            .repository
            .load_index(None, |_, pack| {
                if packs.contains(&pack.id) {
                    index.add(&pack);
                }
            })
            .await
            .map_err(|error| error.to_string())?;
        match loaded.unreadable.first() {
            Some((id, error)) => Err(format!("segment {id} cannot be read: {error}")),
            None => Ok(Arc::new(index)),
        }
    }

    /// Notes what the snapshot of a session must hold, if it comes to be.
    pub fn begins(&mut self, id: SnapshotId, peer: usize) {
        self.sessions
            .entry(id)
            .or_insert_with(|| self.sources[peer].clone());
    }

    /// Notes a snapshot that came to stand under this name, if it is one: reads it in full and compares it with the source of the machine.
    pub async fn appeared(&mut self, id: SnapshotId) -> Result<(), Violation> {
        let manifest = match self.repository.get_snapshot(id).await {
            Ok(SnapshotObject::Manifest(manifest)) => manifest,
            Ok(SnapshotObject::Fence(_)) => return Ok(()),
            Err(error) => return Err(format!("snapshot {id} cannot be read: {error}")),
        };
        self.committed += 1;
        let index = self.index().await?;
        let frames = FrameReader::new(Arc::clone(&self.repository), Arc::clone(&index), 1 << 20);
        let mut needed = HashSet::new();
        let mut unreadable = None;
        let mut scan = TreeScan::new();
        let mut each = |reference: Referenced<'_>| match reference {
            Referenced::Chunk(_, id) => {
                needed.insert(*id);
            }
            Referenced::Unreadable(id, error) => {
                unreadable.get_or_insert(format!("chunk {id}: {error}"));
            }
        };
        scan.add_directory(&ChunkList::from(manifest.root.clone()), &mut each);
        scan.run(&frames, &mut each)
            .await
            .map_err(|error| error.to_string())?;
        if let Some(what) = unreadable {
            return Err(format!("snapshot {id} came to stand with a hole: {what}"));
        }
        self.needed.insert(id, needed);
        let Some(tree) = self.sessions.get(&id).cloned() else {
            return Err(format!("snapshot {id} never had a session"));
        };
        self.trees.insert(id, tree.clone());
        let found = self.read(id).await?;
        if found != tree {
            return Err(format!("snapshot {id} does not hold what was backed up"));
        }
        Ok(())
    }

    /// Notes that nothing stands under this name any more; what comes next may be a fence.
    pub fn vanished(&mut self, id: SnapshotId) {
        self.needed.remove(&id);
    }

    /// Everything in a snapshot.
    pub async fn read(&self, id: SnapshotId) -> Result<Tree, Violation> {
        let text = |error: &dyn std::fmt::Display| format!("snapshot {id} cannot be restored: {error}");
        let SnapshotObject::Manifest(manifest) = self
            .repository
            .get_snapshot(id)
            .await
            .map_err(|error| text(&error))?
        else {
            return Err(text(&"a fence stands there"));
        };
        let reader = TreeReader::new(Arc::clone(&self.repository), self.index().await?, 1 << 20);
        let mut walk = reader.walk(&ChunkList::from(manifest.root));
        let mut tree = Tree::new();
        while let Some(step) = walk.next().await.map_err(|error| text(&error))? {
            if let WalkStep::Entry(entry) = step
                && let EntryBody::File { content, .. } = &entry.body
            {
                let mut bytes = Vec::new();
                for chunk in reader.leaf_ids(content).await.map_err(|error| text(&error))? {
                    let content = reader
                        .chunk(PackClass::Data, &chunk)
                        .await
                        .map_err(|error| text(&error))?;
                    bytes.extend_from_slice(&content);
                }
                let name = String::from_utf8_lossy(walk.path()).into_owned();
                let name = name.rsplit('/').next().unwrap_or_default().to_owned();
                tree.insert(name, bytes);
            }
        }
        Ok(tree)
    }

    /// Snapshots that stand.
    pub fn standing(&self) -> Vec<SnapshotId> {
        self.names(ObjectKind::Snapshot)
            .iter()
            .map(|name| SnapshotId(name.id()))
            .filter(|id| self.needed.contains_key(id))
            .collect()
    }

    /// Whether every snapshot that stands finds its chunks, and every one that was reported stands.
    pub async fn check(&mut self) -> Result<(), Violation> {
        let standing = self.standing();
        for id in &self.reported {
            if !self.deleted.contains(id) && !standing.contains(id) {
                return Err(format!("snapshot {id} was reported as done and is gone"));
            }
        }
        let segments: Vec<SegmentId> = self
            .names(ObjectKind::IndexSegment)
            .iter()
            .map(|name| SegmentId(name.id()))
            .collect();
        for id in &segments {
            if !self.segments.contains_key(id) {
                let content = self
                    .repository
                    .get_object(&ObjectName::from(*id), &self.repository.index)
                    .await
                    .map_err(|error| error.to_string())?;
                let mut packs = Vec::new();
                decode_segment(&content, |pack| {
                    let chunks = pack.footer.frames.iter().flat_map(|frame| &frame.chunks);
                    packs.push((pack.id, chunks.map(|(id, _)| *id).collect()));
                    Ok(())
                })
                .map_err(|error: duplicati_engine::format::FormatError| error.to_string())?;
                self.segments.insert(*id, packs);
            }
        }
        let packs: HashSet<PackId> = self
            .names(ObjectKind::Pack)
            .iter()
            .map(|name| PackId(name.id()))
            .collect();
        let available: HashSet<&ChunkId> = segments
            .iter()
            .filter_map(|id| self.segments.get(id))
            .flatten()
            .filter(|(pack, _)| packs.contains(pack))
            .flat_map(|(_, chunks)| chunks)
            .collect();
        for id in standing {
            if let Some(missing) = self.needed[&id].iter().find(|chunk| !available.contains(chunk)) {
                let reported = self.reported.contains(&id);
                return Err(format!(
                    "snapshot {id} (reported: {reported}) lost chunk {missing}"
                ));
            }
        }
        Ok(())
    }

    /// Whether everything can be restored to the byte.
    pub async fn check_bytes(&self) -> Result<(), Violation> {
        for id in self.standing() {
            if self.read(id).await? != self.trees[&id] {
                return Err(format!("snapshot {id} does not hold any more what was backed up"));
            }
        }
        Ok(())
    }

    /// The target without turns.
    pub fn direct(&self) -> Direct {
        Direct(Arc::clone(&self.server))
    }
}
