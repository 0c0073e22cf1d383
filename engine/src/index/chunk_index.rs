// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Chunk → pack, frame, place; built from index segments in memory.

use super::id_table::IdTable;
use crate::{
    format::{index_segment::PackDescription, pack::PackClass},
    id::{ChunkId, PackId},
};

#[derive(Clone, Copy, Default)]
struct Location {
    frame: u32,
    offset: u32,
    length: u32,
}

struct Frame {
    pack: u32,
    offset: u64,
    stored_size: u32,
    raw_size: u32,
}

struct Pack {
    id: PackId,
    class: PackClass,
    object_size: u64,
    header: Box<[u8]>,
    first_frame: u32,
    frames: u32,
}

/// A pack in the index, by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackOrdinal(pub u32);

/// A frame in the index, by its place there. Frames of one pack are consecutive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameOrdinal(pub u32);

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The frame that holds it.
    pub frame: FrameOrdinal,
    /// Offset in the frame's content, bytes.
    pub offset: u32,
    /// Raw size, bytes.
    pub length: u32,
}

/// Where a frame lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramePlace<'a> {
    /// Its pack.
    pub pack: PackId,
    /// Its pack's place in the index.
    pub pack_ordinal: PackOrdinal,
    /// Class of the pack.
    pub class: PackClass,
    /// Size of the whole pack object, bytes.
    pub object_size: u64,
    /// The pack's age header; empty without encryption.
    pub age_header: &'a [u8],
    /// Offset in the pack's plaintext, bytes.
    pub offset: u64,
    /// Bytes in the plaintext.
    pub stored_size: u32,
    /// Bytes of its content.
    pub raw_size: u32,
}

/// A summary of one pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSummary {
    /// Its name.
    pub id: PackId,
    /// What it holds.
    pub class: PackClass,
    /// Size of the object, bytes.
    pub object_size: u64,
    /// Its first frame.
    pub first_frame: FrameOrdinal,
    /// Number of frames.
    pub frame_count: u32,
}

/// The table.
#[derive(Default)]
pub struct ChunkIndex {
    chunks: IdTable<Location>,
    frames: Vec<Frame>,
    packs: Vec<Pack>,
    by_pack: std::collections::HashMap<PackId, u32>,
}

impl ChunkIndex {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pack; a pack that is there already changes nothing. `wanted` chooses the classes whose chunks are entered.
    ///
    /// A chunk that lies in several packs keeps the first place entered.
    pub fn add(&mut self, pack: &PackDescription) {
        if self.by_pack.contains_key(&pack.id) {
            return;
        }
        let ordinal = self.packs.len() as u32;
        self.by_pack.insert(pack.id, ordinal);
        self.packs.push(Pack {
            id: pack.id,
            class: pack.footer.class,
            object_size: pack.object_size_bytes,
            header: pack.age_header.clone().into_boxed_slice(),
            first_frame: self.frames.len() as u32,
            frames: pack.footer.frames.len() as u32,
        });
        let mut offset = 0u64;
        for frame in &pack.footer.frames {
            let number = self.frames.len() as u32;
            self.frames.push(Frame {
                pack: ordinal,
                offset,
                stored_size: frame.stored_size_bytes,
                raw_size: frame.raw_size_bytes,
            });
            offset += u64::from(frame.stored_size_bytes);
            let mut place = 0u32;
            for (id, length) in &frame.chunks {
                self.chunks.insert(
                    &id.prefix(),
                    Location {
                        frame: number,
                        offset: place,
                        length: *length,
                    },
                );
                place += length;
            }
        }
    }

    /// Where a chunk lies.
    pub fn find(&self, id: &ChunkId) -> Option<ChunkPlace> {
        self.chunks.get(&id.prefix()).map(|location| ChunkPlace {
            frame: FrameOrdinal(location.frame),
            offset: location.offset,
            length: location.length,
        })
    }

    /// Where a frame lies.
    ///
    /// # Panics
    /// When the ordinal is not of this index.
    pub fn frame(&self, ordinal: FrameOrdinal) -> FramePlace<'_> {
        let frame = &self.frames[ordinal.0 as usize];
        let pack = &self.packs[frame.pack as usize];
        FramePlace {
            pack: pack.id,
            pack_ordinal: PackOrdinal(frame.pack),
            class: pack.class,
            object_size: pack.object_size,
            age_header: &pack.header,
            offset: frame.offset,
            stored_size: frame.stored_size,
            raw_size: frame.raw_size,
        }
    }

    /// All packs.
    pub fn packs(&self) -> impl ExactSizeIterator<Item = PackSummary> + '_ {
        self.packs.iter().map(|pack| PackSummary {
            id: pack.id,
            class: pack.class,
            object_size: pack.object_size,
            first_frame: FrameOrdinal(pack.first_frame),
            frame_count: pack.frames,
        })
    }

    /// Whether a pack is described here.
    pub fn contains_pack(&self, id: &PackId) -> bool {
        self.by_pack.contains_key(id)
    }

    /// A pack's place in the index.
    pub fn pack_ordinal(&self, id: &PackId) -> Option<PackOrdinal> {
        self.by_pack.get(id).copied().map(PackOrdinal)
    }

    /// Number of chunks.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Number of frames.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }
}
