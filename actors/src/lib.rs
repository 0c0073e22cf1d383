// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Everything that runs: stages as supervised actors, the channels between them, runs, events and metrics.
//!
//! Reading order: [`control`] (how a run is stopped, first cause kept), [`inlet`] (bounded way into a stage), [`byte_budget`]
//! (bytes in flight), [`stage`] (the actor that owns a stage's workers), [`supervisor`] (the actor that owns a run's stages), then
//! [`backup`] as the longest pipeline. Algorithms live in the engine; a stage is the plumbing around one of them.

pub mod affected;
pub mod backup;
pub mod broken;
pub mod buffers;
pub mod byte_budget;
pub mod compact;
pub mod control;
pub mod delete;
pub mod error;
pub mod events;
pub mod follow;
pub mod give_up;
pub mod heal;
pub mod inlet;
pub mod inventory;
pub mod job_queue;
pub mod metrics;
pub mod object_check;
pub mod purge;
pub mod rebuild;
pub mod repair;
pub mod restore;
pub mod schedule;
pub mod scheduler;
pub mod stage;
pub mod supervisor;
pub mod verify;
