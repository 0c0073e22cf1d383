// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much a target and this machine bear: requests of several sizes and concurrencies, then whole backups and a restore.
//!
//! Reading order: [`settings`] (what is asked for), [`scratch`] (the one folder that anything is written to, and that it goes again), [`load`] (requests to
//! the target), [`recommendation`], [`data`] and [`end_to_end`] (whole runs), [`stages`] (what they waited for), [`capacity`] (how many clients that makes),
//! [`report`] and [`chart`] (for people and programs). `docs/user/benchmark.md` says what each figure means.

pub mod capacity;
pub mod chart;
pub mod data;
pub mod end_to_end;
pub mod figures;
pub mod load;
pub mod noise;
pub mod recommendation;
pub mod report;
pub mod scratch;
pub mod settings;
pub mod stages;

/// Bytes of the GB and MB of rates; sizes in options are powers of 1024.
pub const GB: f64 = 1e9;
/// See [`GB`].
pub const MB: f64 = 1e6;
