// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is read from the machine that is backed up: folders, entries, their metadata, and the rules that select them.
//!
//! Reading order: [`SourceDirectory`] is the way in. It holds a folder by descriptor, so a walk never builds a path
//! for the kernel and works at any depth and length. [`DirectoryListing`] is one folder's names, sorted; [`EntryStat`]
//! is what one `statx` says; [`SourceFile`] is an open regular file. [`filter`] decides what belongs to a backup.
//!
//! Nothing here decides what happens after an unreadable entry: every failure is a [`SourceError`] about one entry,
//! and the walker reports it and goes on. Nothing here writes to the source.

pub mod exclusion;
pub mod filter;
pub mod owner;
pub mod sparse;
pub mod xattr;

mod directory;
mod error;
mod file;
mod listing;
mod metadata;

#[cfg(test)]
mod tests;

pub use directory::{DirectoryIdentity, SourceDirectory};
pub use error::{SourceError, SourceErrorKind, display_path};
pub use file::{AdvisoryLocking, SourceFile};
pub use listing::{DirectoryListing, EntryTypeHint, ListedEntry, ListingBuffer};
pub use metadata::{EntryKind, EntryStat, is_hidden};
