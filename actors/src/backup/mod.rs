// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Backup: from folders to a committed snapshot.
//!
//! The walker goes through the sources in step with the parent snapshot's tree. Unchanged entries pass straight to the tree builder; files to
//! be read go in batches to the chunkers, which read, cut, hash and keep only new chunks. New chunks gather in frames; sealers compress them;
//! the packer joins and encrypts them; uploaders store packs; the indexer writes index segments. The tree builder puts everything back into the
//! walker's order. With a key that opens no tree a sealed table in the local database says which files are unchanged (`skip`). The committer comes last: only its one exclusive `put` makes the snapshot exist (S-1).

mod ahead;
mod batches;
mod chunker;
mod committer;
mod frame_filler;
mod indexer;
mod kept;
mod known_state;
mod list_writer;
mod options;
mod packer;
mod parent;
mod pipeline;
mod relocated;
mod sealer;
mod selection;
mod skip;
mod source_tree;
mod tree_builder;
mod uploader;
mod walker;
pub mod wiring;

pub use options::{
    BackupOptions, BackupReport, ChangeDetection, HardlinkPolicy, PACK_SIZE_BYTES_DEFAULT, Relocation,
    SymlinkPolicy,
};
pub use pipeline::run_backup;
pub use selection::Selection;
pub(crate) use tree_builder::list_with;
