// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What tests are built from: source trees, a strict comparison of trees, a clock, and stores with orders.
//!
//! Reading order: [`tree_builder`] (plain data), [`fidelity_tree`](mod@fidelity_tree) (everything Linux can hold),
//! [`tree_edits`] and [`tree_strategies`] (any tree, for property tests), [`tree_compare`] (are two trees the same?), [`clock`]. Nothing here uses the engine's own reading or restoring of
//! files: a check that shares code with what it checks proves little.

pub mod clock;
pub mod fidelity_tree;
pub mod servers;
pub mod tree_builder;
pub mod tree_compare;
pub mod tree_edits;
pub mod tree_remove;
pub mod tree_strategies;

pub use clock::ManualClock;
pub use duplicati_backends::decorators::{
    Fault, FaultyStore, Operation, OperationKind, Record, RecordingStore, SlowStore, When,
};
pub use fidelity_tree::{FidelityOptions, FidelityReport, fidelity_tree};
pub use tree_builder::{Content, TreeBuilder, TreeSummary};
pub use tree_compare::{
    CompareOptions, Difference, DifferenceKind, assert_same_trees, compare_trees, compare_trees_with,
};
pub use tree_remove::{TestFolder, remove_tree};
