// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model of the protocol in `docs/protocol.md`, small enough that every order of its steps can be tried.
//!
//! Reading order: [`state`] (what the target holds and what each client knows), [`writer`], [`collector`], [`repairer`] (what each client does next),
//! [`protocol`] (everything that may happen, and what must hold), [`mutation`] (mistakes that the checker has to find). One step is one request to the
//! target. Between any two steps of a client every other client may do anything, so a client that sleeps for a month is just one that is not chosen.
//!
//! Left out: content of trees (a snapshot needs a set of chunks), damage, sizes, and the local database.

pub mod collector;
pub mod mutation;
pub mod protocol;
pub mod repairer;
pub mod state;
pub mod writer;

pub use mutation::Mutation;
pub use protocol::{Action, Protocol};
