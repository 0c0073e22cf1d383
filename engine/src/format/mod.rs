// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The stored objects, one file each: encode, decode, limits. `docs/format.md` is the authority.
//!
//! | Object | Section | Module |
//! | --- | --- | --- |
//! | config | 3 | [`config`] |
//! | key file | 4 | [`crate::crypto::key_file`] |
//! | pack | 6 | [`pack`] |
//! | index segment | 7 | [`index_segment`] |
//! | tree entries, chunk lists | 8 | [`tree`], [`chunk_list`] |
//! | manifest, fence | 9 | [`manifest`] |
//! | session, plan | 10 | [`session`] |
//!
//! Nothing here seals, compresses or does I/O: decoders take plaintext that may be anything and never panic.

pub mod chunk_list;
pub mod codec;
pub mod config;
pub mod index_segment;
pub mod manifest;
pub mod pack;
pub mod path_text;
pub mod session;
pub mod tree;

/// Version written into every binary object (F-8).
pub const FORMAT_VERSION: u8 = 1;

/// Stored bytes that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end early or break the grammar.
    #[error("damaged {object}: {detail}")]
    Damaged {
        /// The kind of object.
        object: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Written by a newer program (F-8).
    #[error(
        "{object} has format version {found}, this program knows up to {FORMAT_VERSION}; use a newer program"
    )]
    UnknownVersion {
        /// The kind of object.
        object: &'static str,
        /// The version found.
        found: u64,
    },
}

impl FormatError {
    /// A damaged object.
    pub fn damaged(object: &'static str, detail: impl Into<String>) -> Self {
        Self::Damaged {
            object,
            detail: detail.into(),
        }
    }
}
