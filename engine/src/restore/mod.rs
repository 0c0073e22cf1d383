// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Putting a snapshot's entries back: what goes where, in which order it is read, and how it is written safely.
//!
//! Reading order: [`selection`] (which entries, under which name), [`plan`] (reads grouped by frame and pack),
//! [`target`] (the folder that nothing may leave), [`file`] (one file's way into it), [`metadata`]. What runs them is in the actors.
//!
//! Content needs no check after writing: every chunk's id is checked before it is written (F-9), so
//! `skip-restore-verification` has nothing left to skip.

pub mod file;
pub mod layout;
pub mod metadata;
pub mod plan;
pub mod selection;
pub mod target;

use std::{path::PathBuf, sync::Arc};

/// What a filter says about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Restore it; for a folder, go on below.
    Take,
    /// Not itself, but something below may be wanted.
    Below,
    /// Neither it nor anything below.
    Leave,
}

/// Decides by path: absolute, as in the snapshot; a folder's ends in `/`.
pub type RestoreFilter = Arc<dyn Fn(&[u8]) -> Selection + Send + Sync>;

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Where to; none means the original places.
    pub target: Option<PathBuf>,
    /// Replace files that differ, instead of writing next to them.
    pub overwrite: bool,
    /// Owner, group and mode. Without it files are made as any new file is, though never more open than the original was.
    pub restore_permissions: bool,
    /// Owner, times and attributes of symbolic links as well.
    pub restore_symlink_metadata: bool,
    /// Accepted; see the module: nothing is written unchecked.
    pub skip_verification: bool,
    /// Keep all folders below the target, instead of removing the longest prefix that all entries share.
    pub keep_full_paths: bool,
    /// Follow symbolic links that exist in the target, wherever they lead.
    pub allow_outside_target: bool,
    /// What to restore; none means everything.
    pub filter: Option<RestoreFilter>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Leave holes as holes; otherwise room is reserved for them.
    pub sparse: bool,
    /// No times and attributes either.
    pub skip_metadata: bool,
    /// Larger files are left out, bytes.
    pub size_limit: Option<u64>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            target: None,
            overwrite: false,
            restore_permissions: false,
            restore_symlink_metadata: false,
            skip_verification: false,
            keep_full_paths: false,
            allow_outside_target: false,
            filter: None,
            dry_run: false,
            sparse: true,
            skip_metadata: false,
            size_limit: None,
        }
    }
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Files written.
    pub restored_files: u64,
    /// Their sizes, bytes.
    pub restored_files_bytes: u64,
    /// Bytes of content written.
    pub restored_data_bytes: u64,
    /// Folders made.
    pub restored_folders: u64,
    /// Symbolic links made.
    pub restored_symlinks: u64,
    /// Pipes, sockets and devices made.
    pub restored_others: u64,
    /// Files of which only what differed was written.
    pub patched_files: u64,
    /// Things removed to make room, with overwrite.
    pub deleted_files: u64,
    /// Links removed to make room, with overwrite.
    pub deleted_symlinks: u64,
    /// Files that were right already.
    pub unmodified_files: u64,
    /// Their sizes, bytes.
    pub unmodified_files_bytes: u64,
    /// Files over the size limit.
    pub too_large_files: u64,
    /// Entries that could not be restored.
    pub failed_entries: u64,
    /// Paths of the first of them, raw bytes.
    pub broken_local_files: Vec<Vec<u8>>,
    /// Objects of the repository that are missing or damaged.
    pub broken_remote_files: Vec<String>,
    /// Where to.
    pub target: PathBuf,
    /// What was removed in front of every path.
    pub removed_prefix: Vec<u8>,
}
