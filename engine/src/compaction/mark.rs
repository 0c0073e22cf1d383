// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which chunks the snapshots need, and how many bytes of each frame that makes.

use super::scan::{Referenced, TreeScan};
use crate::{
    format::{chunk_list::ChunkList, manifest::Manifest},
    id::{ChunkId, SnapshotId},
    index::{
        ChunkIndex,
        id_table::{IdPrefix, IdTable},
    },
    repository::{FrameReader, RepositoryError},
};

/// Chunks named when some are missing.
const MISSING_NAMED_MAX: usize = 20;

/// Marking cannot be completed, so nothing may be deleted (S-7).
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The tree cannot be read fully.
    #[error(
        "snapshot {snapshot} of {time} cannot be read fully, so nothing may be deleted: {source}; run `repair`, or delete that version"
    )]
    Unreadable {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Its date.
        time: String,
        /// Why.
        #[source]
        source: RepositoryError,
    },
    /// The target does not answer.
    #[error(transparent)]
    Target(#[from] RepositoryError),
}

/// The needed chunks.
#[derive(Default)]
pub struct Marks {
    chunks: IdTable<()>,
    scan: TreeScan,
    /// Needed bytes of each frame of the index that marking began with, by ordinal.
    live_bytes: Vec<u32>,
    /// Needed chunks that no pack of the index holds: their number.
    pub missing_count: u64,
    /// The first of them.
    pub missing: Vec<ChunkId>,
}

impl Marks {
    /// Nothing marked, over the frames of `index`.
    pub fn new(index: &ChunkIndex) -> Self {
        Self {
            live_bytes: vec![0; index.frame_count()],
            ..Self::default()
        }
    }

    /// Needed bytes of each frame.
    pub fn live_bytes(&self) -> &[u32] {
        &self.live_bytes
    }

    /// Goes on marking over another index: what each frame holds is not counted any more.
    pub fn leave_index(&mut self) {
        self.live_bytes = Vec::new();
    }

    /// Whether a chunk is needed.
    pub fn is_live(&self, id: &ChunkId) -> bool {
        self.chunks.get(&id.prefix()).is_some()
    }

    /// Number of needed chunks.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// All needed chunks, in no useful order.
    pub fn chunks(&self) -> impl Iterator<Item = IdPrefix> + '_ {
        self.chunks.iter().map(|(prefix, ())| prefix)
    }

    fn insert(&mut self, index: &ChunkIndex, id: &ChunkId) {
        if !self.chunks.insert(&id.prefix(), ()) {
            return;
        }
        match index.find(id) {
            Some(place) => {
                if let Some(bytes) = self.live_bytes.get_mut(place.frame.0 as usize) {
                    *bytes += place.length;
                }
            }
            None => {
                self.missing_count += 1;
                if self.missing.len() < MISSING_NAMED_MAX {
                    self.missing.push(*id);
                }
            }
        }
    }
}

/// Marks everything that a snapshot needs. What was marked before is not read again.
///
/// # Errors
/// When any part of its tree cannot be read: then more may be needed than is known.
pub async fn mark_snapshot(
    marks: &mut Marks,
    frames: &FrameReader,
    id: SnapshotId,
    manifest: &Manifest,
) -> Result<(), MarkError> {
    let mut scan = std::mem::take(&mut marks.scan);
    let mut unreadable = None;
    let index = frames.index();
    let mut each = |reference: Referenced<'_>| match reference {
        Referenced::Chunk(_, id) => marks.insert(index, id),
        Referenced::Unreadable(_, error) => {
            unreadable.get_or_insert(error);
        }
    };
    scan.add_directory(&ChunkList::from(manifest.root.clone()), &mut each);
    for file in &manifest.control_files {
        let list = ChunkList {
            depth: file.depth,
            ids: file.ids.clone(),
        };
        scan.add_file(&list, &mut each);
    }
    let outcome = scan.run(frames, &mut each).await;
    marks.scan = scan;
    outcome?;
    match unreadable {
        None => Ok(()),
        Some(source) => Err(MarkError::Unreadable {
            snapshot: id,
            time: manifest.time.clone(),
            source,
        }),
    }
}
