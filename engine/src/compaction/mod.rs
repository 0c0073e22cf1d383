// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Deciding what a collection removes, and the pieces it works with. Nothing here deletes anything.
//!
//! Reading order: [`scan`] (every chunk that a tree needs, each visited once), [`mark`] (how much of each frame is needed), [`plan`] (which packs go,
//! which are written again, and why), [`frame_copier`], [`pack_filler`] and [`pack_writer`] (moving what is needed into new packs).

pub mod frame_copier;
pub mod mark;
pub mod pack_filler;
pub mod pack_writer;
pub mod plan;
pub mod scan;

pub use mark::{MarkError, Marks, mark_snapshot};
pub use pack_filler::PackFiller;
pub use pack_writer::{PackWriter, WrittenPack, encode_index_segment};
pub use plan::{CompactionPlan, PackFacts, PackVerdict, PlannedPack, SegmentFacts, Thresholds};
pub use scan::{Referenced, TreeScan};
