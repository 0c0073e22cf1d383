// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a repository is and what may be done with it. No runtime, no network, no printing.
//!
//! Reading order: [`format`] (what is stored, rules F-1 to F-9 of `docs/format.md`), [`crypto`] (how it is sealed),
//! [`storage`] (the port to a target), [`index`] (where each chunk lies), [`repository`] (all of it together), then
//! [`source`], [`snapshot`], [`restore`], [`compaction`], [`retention`], [`salvage`], [`mirror`], which decide and never run anything.

pub mod chunking;
pub mod clock;
pub mod compaction;
pub mod compression;
pub mod crypto;
pub mod format;
pub mod hashing;
pub mod id;
pub mod index;
pub mod mirror;
pub mod repository;
pub mod restore;
pub mod retention;
pub mod salvage;
pub mod snapshot;
pub mod source;
pub mod storage;
