// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where each chunk lies: tables in memory, built from index segments, and the local copy of those segments.

pub mod chunk_index;
pub mod chunk_set;
pub mod id_table;
pub mod local;
pub mod skip_table;

pub use chunk_index::{ChunkIndex, ChunkPlace, FramePlace};
pub use chunk_set::ChunkSet;
pub use skip_table::{FileState, SkipTable};
