// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores: implementations of [`duplicati_engine::storage::Store`] for each kind of target.
//!
//! Reading order: [`address`] and [`options`] (what chooses a store), [`registry`] (one line per scheme, and [`open`]), [`schemes`] (address → store), [`decorators`]
//! (a store around a store). What this crate does not know: repositories, keys, actors, the command line.

pub mod address;
pub mod decorators;
mod error;
pub mod files;
mod http;
mod opendal_store;
pub mod options;
pub mod probe;
pub mod registry;
pub mod schemes;
pub mod transfer;

pub use address::StoreAddress;
pub use files::{FileEntry, Files};
pub use http::tls::trusting_hashes;
pub use options::{OptionValue, StoreOptions};
pub use registry::{OpenError, open, open_files, open_to_measure, open_with_care};
pub use schemes::file::LocalStore;
