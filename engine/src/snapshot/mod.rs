// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading snapshots: their trees entry by entry, choosing one, comparing two. Nothing here writes to a repository.

pub mod diff;
pub mod find;
pub mod tree_reader;
pub mod tree_walk;

pub use diff::{Change, TreeDiff};
pub use tree_reader::{DirectoryReader, LeafReader, TreeReader};
pub use tree_walk::{TreeWalk, WalkStep};

#[cfg(test)]
mod tests;
