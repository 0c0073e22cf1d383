// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which files need no reading when the key at hand opens no tree: the sealed table in the local database takes the parent's place.

use std::sync::Arc;

use duplicati_engine::{
    format::tree::TreeEntry,
    index::{ChunkSet, FileState, SkipTable, local::LocalState},
    repository::Repository,
};

use super::options::{BackupOptions, ChangeDetection};
use crate::{error::RunError, events::ProgressSnapshot};

/// The table with what one try to commit may rely on.
#[derive(Clone)]
pub struct Skip {
    /// The sealed rows.
    pub table: Arc<SkipTable>,
    /// Chunks that may be used again.
    pub known: Arc<ChunkSet>,
    /// Look rows up; else every file is read.
    pub looks_up: bool,
    /// Only the time of the content counts.
    pub by_mtime_alone: bool,
    /// Note what was read.
    pub notes: bool,
}

impl Skip {
    /// For one try of a run.
    pub fn new(table: &Arc<SkipTable>, known: &Arc<ChunkSet>, options: &BackupOptions) -> Self {
        Self {
            table: Arc::clone(table),
            known: Arc::clone(known),
            looks_up: options.change_detection != ChangeDetection::None,
            by_mtime_alone: options.change_detection == ChangeDetection::TimeOnly,
            notes: !options.dry_run,
        }
    }

    fn state<'a>(&self, path: &'a [u8], entry: &TreeEntry, size: u64) -> FileState<'a> {
        FileState {
            path,
            size,
            mtime: entry.mtime,
            ctime: entry.ctime,
            inode: entry.inode,
            device: entry.device,
            no_metadata: entry.no_metadata,
            by_mtime_alone: self.by_mtime_alone,
        }
    }

    /// Gives an entry that was made from the file's present state its content and attributes; says whether they are known and may be used.
    pub fn fill(&self, path: &[u8], entry: &mut TreeEntry, size: u64) -> bool {
        if !self.looks_up {
            return false;
        }
        let Some(found) = self.table.find(&self.state(path, entry, size), &self.known) else {
            return false;
        };
        (entry.xattrs, entry.body) = (found.xattrs, found.body);
        true
    }

    /// Notes a file that was read whole in this state.
    pub fn note(&self, path: &[u8], entry: &TreeEntry, size: u64, below: &[[u8; 16]]) {
        if self.notes {
            self.table.note(&self.state(path, entry, size), entry, below);
        }
    }
}

/// Opens the table if this run needs it, and forgets it if trees can be read.
///
/// # Errors
/// When the local database cannot be used.
pub fn open_table(
    repository: &Repository,
    local: &LocalState,
    options: &BackupOptions,
) -> Result<Option<Arc<SkipTable>>, RunError> {
    let Some(key) = repository.key.as_ref().filter(|_| !repository.data.can_open()) else {
        if !options.dry_run {
            local.clear_skip_table()?;
        }
        return Ok(None);
    };
    if options.stdin.is_some() {
        return Ok(None);
    }
    Ok(local.skip_table(&key.secret)?.map(Arc::new))
}

/// Whether a run that ended well has looked at everything: only then are rows that it did not see those of files that are gone. A source that is not there
/// may be an unmounted disk, and comes back.
pub fn is_complete(options: &BackupOptions, progress: &ProgressSnapshot) -> bool {
    !options.dry_run
        && options.selection.is_none()
        && progress.cut_off == 0
        && options.missing_sources + progress.missing_sources == 0
}
