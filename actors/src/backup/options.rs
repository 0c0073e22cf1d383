// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a backup is asked to do, and what it says afterwards.

use duplicati_engine::{
    id::SnapshotId,
    source::{exclusion::MarkerNames, filter::SourceFilter},
};

use super::selection::Selection;
use crate::events::ProgressSnapshot;

/// What happens to symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SymlinkPolicy {
    /// Store the link.
    #[default]
    Store,
    /// Store what it points to under the link's name.
    Follow,
    /// Leave it out.
    Ignore,
}

/// What happens to files with several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HardlinkPolicy {
    /// Store every name, linked to each other again on restore.
    #[default]
    All,
    /// Store the first name met only.
    First,
    /// Leave such files out.
    None,
}

/// When a file counts as unchanged and is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChangeDetection {
    /// Size, mtime, ctime and inode are the same.
    #[default]
    Full,
    /// mtime is the same.
    TimeOnly,
    /// Never: every file is read.
    None,
}

/// A backup to be made.
pub struct BackupOptions {
    /// Absolute paths, raw bytes, without trailing slash.
    pub sources: Vec<Vec<u8>>,
    /// Sources that were asked for as well and did not exist when the run was prepared.
    pub missing_sources: u64,
    /// Include and exclude rules.
    pub filter: SourceFilter,
    /// Aimed-at size of a pack, bytes.
    pub pack_size_bytes: u64,
    /// zstd level, 1 to 19.
    pub zstd_level: i32,
    /// Threads that read and threads that compress, each; 0 means one per core.
    pub workers: usize,
    /// Packs stored at once.
    pub uploads: usize,
    /// Open every sealed frame and pack again before it is stored (F-9).
    pub verify_packs: bool,
    /// Symbolic links.
    pub symlink_policy: SymlinkPolicy,
    /// Hard links.
    pub hardlink_policy: HardlinkPolicy,
    /// Folders that contain one of these names are skipped.
    pub ignore_names: MarkerNames,
    /// Leave out folders without content.
    pub exclude_empty_folders: bool,
    /// Leave out names with a leading dot.
    pub exclude_hidden: bool,
    /// Leave out files without write permission.
    pub exclude_read_only: bool,
    /// Leave out files larger than this, bytes.
    pub size_limit: Option<u64>,
    /// Refuse files that another process has locked exclusively.
    pub honour_locks: bool,
    /// Leave out files with the nodump attribute.
    pub honour_nodump: bool,
    /// Leave out entries marked by an extended attribute.
    pub honour_exclusion_xattr: bool,
    /// Folders that are never entered, by device and inode: where this backup is stored. So neither a link nor a bind mount leads there.
    pub destinations: Vec<(u64, u64)>,
    /// Do not enter other file systems below a source.
    pub one_file_system: bool,
    /// When a file is read.
    pub change_detection: ChangeDetection,
    /// Store no metadata.
    pub skip_metadata: bool,
    /// Commit a snapshot even when nothing changed.
    pub commit_unchanged: bool,
    /// Name of the job.
    pub name: String,
    /// Free texts.
    pub tags: Vec<String>,
    /// Host name.
    pub host: String,
    /// User name.
    pub user: String,
    /// Program and version.
    pub program: String,
    /// Store nothing.
    pub dry_run: bool,
    /// Instead of sources: standard input under this name.
    pub stdin: Option<Vec<u8>>,
    /// Files to keep beside the tree, absolute paths whose last parts differ.
    pub control_files: Vec<Vec<u8>>,
    /// Look at these paths only; everything else is as in the parent snapshot. Without a parent, everything is looked at.
    pub selection: Option<Selection>,
    /// Sources that are read from another place, such as a snapshot of their file system.
    pub relocations: Vec<Relocation>,
}

/// A source that is read from another place and recorded under its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// The source, as in `sources`.
    pub from: Vec<u8>,
    /// Where it is read.
    pub to: Vec<u8>,
}

impl BackupOptions {
    /// Where a source is read, if not at its own place.
    pub(super) fn relocated(&self, source: &[u8]) -> Option<&[u8]> {
        self.relocations
            .iter()
            .find(|relocation| relocation.from == source)
            .map(|relocation| relocation.to.as_slice())
    }

    /// Where a path at or below a source is read.
    pub(super) fn place_of(&self, path: &[u8]) -> Vec<u8> {
        let inside = |from: &[u8]| {
            let rest = path.strip_prefix(from.strip_suffix(b"/").unwrap_or(from))?;
            (rest.is_empty() || rest[0] == b'/').then_some(rest)
        };
        let nearest = self
            .relocations
            .iter()
            .filter_map(|relocation| Some((relocation, inside(&relocation.from)?)))
            .max_by_key(|(relocation, _)| relocation.from.len());
        nearest.map_or_else(
            || path.to_vec(),
            |(relocation, rest)| [relocation.to.as_slice(), rest].concat(),
        )
    }
}

/// Pack size unless chosen, bytes; see `docs/decisions/`.
pub const PACK_SIZE_BYTES_DEFAULT: u64 = 16 << 20;

impl Default for BackupOptions {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            missing_sources: 0,
            filter: SourceFilter::default(),
            pack_size_bytes: PACK_SIZE_BYTES_DEFAULT,
            zstd_level: duplicati_engine::compression::LEVEL_DEFAULT,
            workers: 0,
            uploads: 4,
            verify_packs: true,
            symlink_policy: SymlinkPolicy::Store,
            hardlink_policy: HardlinkPolicy::All,
            ignore_names: MarkerNames::default(),
            exclude_empty_folders: false,
            exclude_hidden: false,
            exclude_read_only: false,
            size_limit: None,
            honour_locks: true,
            honour_nodump: false,
            honour_exclusion_xattr: true,
            destinations: Vec::new(),
            one_file_system: false,
            change_detection: ChangeDetection::Full,
            skip_metadata: false,
            commit_unchanged: false,
            name: String::new(),
            tags: Vec::new(),
            host: String::new(),
            user: String::new(),
            program: String::new(),
            dry_run: false,
            stdin: None,
            control_files: Vec::new(),
            selection: None,
            relocations: Vec::new(),
        }
    }
}

/// What a backup did.
#[derive(Debug, Clone, serde::Serialize)]
pub struct BackupReport {
    /// The new snapshot; none when nothing changed or nothing was to be stored.
    pub snapshot: Option<SnapshotId>,
    /// The snapshot that it was compared with.
    pub parent: Option<SnapshotId>,
    /// Whether nothing differed from the parent.
    pub unchanged: bool,
    /// Whether it was stopped early.
    pub partial: bool,
    /// Sources that did not exist or could not be entered; what is in them is missing from the snapshot, not deleted.
    pub missing_sources: u64,
    /// Counters.
    pub progress: ProgressSnapshot,
}
