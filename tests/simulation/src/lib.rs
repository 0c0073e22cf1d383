// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Several machines with the real engine on one simulated target. One seed decides who may send the next request and what becomes of it.
//!
//! Reading order: [`server`] (the target: requests wait there until they are chosen), [`client_store`] (what a machine's code talks to), [`machine`] (what a
//! machine does, with the real operations), [`ledger`] (what must hold after every step), [`run`] (the loop that chooses), [`liar`] (a key holder who puts what is not true), [`planted`] (mistakes that the
//! simulation has to find).
//!
//! A request that was sent waits until the loop grants it, and the loop chooses only when every machine that is awake waits or is done. So the order of what
//! happens at the target, the faults, crashes, sleeps and the time come from the seed alone. Not from the seed: random names and ciphertext, in which order
//! threads of one machine send requests that they make at the same time, and in which order a machine goes through its hash sets.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

pub mod client_store;
pub mod ledger;
pub mod liar;
pub mod machine;
pub mod planted;
pub mod run;
pub mod server;

pub use planted::Planted;
pub use run::{Outcome, Settings, simulate};
