// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What passes between the stages of a backup.

use std::sync::Arc;

use duplicati_engine::{
    format::{
        chunk_list::ChunkList,
        manifest::{ControlFile, Totals},
        pack::{FrameDescription, PackClass},
        tree::TreeEntry,
    },
    id::{ChunkId, PackId},
    source::{EntryStat, SourceDirectory},
};

use crate::{byte_budget::BytePermit, inlet::Weighed};

/// A file to be read.
pub struct FileTask {
    /// The folder that holds it.
    pub folder: Arc<SourceDirectory>,
    /// Path of the folder, for messages.
    pub folder_path: Arc<[u8]>,
    /// Its name.
    pub name: Vec<u8>,
    /// What the walker saw.
    pub stat: EntryStat,
    /// Whether the parent snapshot has a file of this name.
    pub known: bool,
    /// What the parent has under the name, to be taken over when the file cannot be read.
    pub kept: Option<Box<TreeEntry>>,
    /// Read what the link points to.
    pub follow: bool,
}

/// One step of the walk, in order.
pub enum WalkItem {
    /// A folder begins; its entry lacks content.
    Enter(Box<TreeEntry>),
    /// An entry that needs no reading.
    Ready(Box<TreeEntry>),
    /// Another name of a file that came before in the walk; its entry lacks content.
    Link(Box<TreeEntry>),
    /// A file to be read.
    File(FileTask),
    /// Standard input under this name.
    Stdin(Vec<u8>),
    /// A file to be kept beside the tree, by its path.
    ControlFile(Vec<u8>),
    /// The present folder ends. `drop_if_empty` leaves it out when nothing was in it.
    Leave {
        /// Leave it out when empty.
        drop_if_empty: bool,
    },
}

/// Steps of the walk.
pub struct WalkBatch {
    /// Place in the order.
    pub sequence: u64,
    /// The steps.
    pub items: Vec<WalkItem>,
    /// Bytes of the files in it.
    pub bytes: u64,
    /// Place in the window.
    pub window: BytePermit,
}

impl Weighed for WalkBatch {
    fn weight_bytes(&self) -> u64 {
        self.bytes
    }
}

/// A step with its content known.
pub enum BuiltItem {
    /// As in [`WalkItem::Enter`].
    Enter(Box<TreeEntry>),
    /// A complete entry.
    Entry(Box<TreeEntry>),
    /// As in [`WalkItem::Link`].
    Link(Box<TreeEntry>),
    /// A file with several names that is left out on purpose, by device and inode: its other names are as well.
    LeftOut(u64, u64),
    /// A file beside the tree, stored.
    ControlFile(ControlFile),
    /// As in [`WalkItem::Leave`].
    Leave {
        /// Leave it out when empty.
        drop_if_empty: bool,
    },
}

/// Steps with their content known.
pub struct BuiltBatch {
    /// Place in the order.
    pub sequence: u64,
    /// The steps; unreadable files are missing.
    pub items: Vec<BuiltItem>,
    /// Place in the window.
    pub window: BytePermit,
}

impl Weighed for BuiltBatch {
    fn weight_bytes(&self) -> u64 {
        0
    }
}

/// New chunks, side by side (F-4).
pub struct RawFrame {
    /// Data or tree.
    pub class: PackClass,
    /// Whether compressing is worth it.
    pub compressible: bool,
    /// The chunks' bytes.
    pub content: Vec<u8>,
    /// The chunks.
    pub chunks: Vec<(ChunkId, u32)>,
    /// Bytes in flight.
    pub permit: BytePermit,
}

impl Weighed for RawFrame {
    fn weight_bytes(&self) -> u64 {
        self.content.len() as u64
    }
}

/// A frame as it stands in a pack.
pub struct SealedFrame {
    /// Data or tree.
    pub class: PackClass,
    /// The zstd frame.
    pub stored: Vec<u8>,
    /// What the footer says about it.
    pub description: FrameDescription,
    /// Bytes in flight.
    pub permit: BytePermit,
}

impl Weighed for SealedFrame {
    fn weight_bytes(&self) -> u64 {
        self.stored.len() as u64
    }
}

/// A pack ready to be stored.
pub struct FinishedPack {
    /// Its name.
    pub id: PackId,
    /// The object.
    pub object: Vec<u8>,
    /// Its description as an index segment holds it.
    pub description: Vec<u8>,
    /// Number of chunks.
    pub chunks: usize,
    /// Bytes in flight.
    pub permit: BytePermit,
}

impl Weighed for FinishedPack {
    fn weight_bytes(&self) -> u64 {
        self.object.len() as u64
    }
}

/// A pack that the target has.
pub struct StoredPack {
    /// Its name.
    pub id: PackId,
    /// Its description as an index segment holds it.
    pub description: Vec<u8>,
    /// Number of chunks.
    pub chunks: usize,
}

impl Weighed for StoredPack {
    fn weight_bytes(&self) -> u64 {
        self.description.len() as u64
    }
}

/// The finished tree.
pub struct BuiltTree {
    /// Stream of the root directory.
    pub root: ChunkList,
    /// Sums.
    pub totals: Totals,
    /// Files beside the tree.
    pub control_files: Vec<ControlFile>,
    /// Whether all is as the parent has it, so that nothing of the tree was stored and no snapshot is to be made.
    pub unchanged: bool,
}
