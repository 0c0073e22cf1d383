// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores: implementations of [`duplicati_engine::storage::Store`] for each kind of target.
//!
//! Reading order: [`registry`] (one line per scheme, and [`open`]), [`schemes`] (address → store), [`decorators`]
//! (a store around a store). What this crate does not know: repositories, keys, actors, the command line.

pub mod decorators;
pub mod registry;
pub mod schemes;

pub use registry::{OpenError, StoreAddress, open};
pub use schemes::file::LocalStore;
