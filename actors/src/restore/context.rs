// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What all stages of one restore share: the request, the report, and the two ways in which things fail.

use std::{
    collections::HashMap,
    os::fd::BorrowedFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use duplicati_engine::{
    format::{chunk_list::ChunkList, tree::TreeEntry},
    repository::{RepositoryError, lru::Lru},
    restore::{
        RestoreOptions, RestoreReport,
        file::{FileEnd, FileJob},
        metadata::MetadataWriter,
        selection::Selector,
        target::{Target, explain, is_fatal},
    },
    snapshot::TreeReader,
};
use rustix::io::Errno;

use super::{batches::PlannedFile, wiring};
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress, Severity},
};

/// What a context is made of.
pub struct Parts {
    pub tree: TreeReader,
    pub root: ChunkList,
    pub selector: Selector,
    pub prefix: Vec<u8>,
    pub date: String,
    pub options: RestoreOptions,
    /// None in a dry run.
    pub target: Option<Arc<Target>>,
    pub target_path: PathBuf,
    pub monitor: Monitor,
    pub control: RunControl,
}

/// Shared by the stages of one restore.
pub struct Context {
    pub tree: TreeReader,
    pub root: ChunkList,
    pub selector: Selector,
    pub prefix: Vec<u8>,
    pub date: String,
    pub options: RestoreOptions,
    pub target: Option<Arc<Target>>,
    pub monitor: Monitor,
    pub control: RunControl,
    pub open_files: Mutex<Lru<u64, Arc<PlannedFile>>>,
    pub hard_links: Mutex<HardLinks>,
    report: Mutex<RestoreReport>,
    metadata_warnings: AtomicU64,
}

/// The first restored name of each group of hard links.
#[derive(Default)]
pub struct HardLinks {
    /// Device and inode in the snapshot → path in the target, and path in the snapshot.
    pub first: HashMap<(u64, u64), (Vec<u8>, Vec<u8>)>,
    pub bytes: usize,
}

impl Context {
    pub fn new(parts: Parts) -> Self {
        let report = RestoreReport {
            target: parts.target_path,
            removed_prefix: parts.prefix.clone(),
            ..RestoreReport::default()
        };
        Self {
            tree: parts.tree,
            root: parts.root,
            selector: parts.selector,
            prefix: parts.prefix,
            date: parts.date,
            options: parts.options,
            target: parts.target,
            monitor: parts.monitor,
            control: parts.control,
            open_files: Mutex::new(Lru::new(wiring::FILES_OPEN_MAX)),
            hard_links: Mutex::default(),
            report: Mutex::new(report),
            metadata_warnings: AtomicU64::new(0),
        }
    }

    /// Changes the report.
    pub fn report(&self) -> MutexGuard<'_, RestoreReport> {
        lock(&self.report)
    }

    /// The report, at the end.
    pub fn take_report(&self) -> RestoreReport {
        std::mem::take(&mut *self.report())
    }

    /// An entry is lost; the run goes on.
    pub fn entry_failed(&self, path: &[u8], reason: &str) {
        {
            let mut report = self.report();
            report.failed_entries += 1;
            if report.broken_local_files.len() < wiring::REPORTED_PATHS_MAX {
                report.broken_local_files.push(path.to_vec());
            }
        }
        Progress::add(&self.monitor.progress.files_with_error, 1);
        self.monitor
            .tell(Severity::Error, "RestoreEntryFailed", path, reason);
    }

    /// The system refused something about an entry. What every further entry would meet as well ends the run.
    pub fn refused(&self, path: &[u8], error: Errno) -> Result<(), RunError> {
        if is_fatal(error) {
            let path = String::from_utf8_lossy(path);
            return Err(RunError::Refused(format!(
                "failed to restore /{path}: {}",
                explain(error)
            )));
        }
        self.entry_failed(path, &explain(error));
        Ok(())
    }

    /// Reading the repository failed: damage costs an entry, anything else the run.
    pub fn unreadable(&self, error: RepositoryError) -> Result<String, RunError> {
        if !error.is_damage() {
            return Err(error.into());
        }
        let object = match &error {
            RepositoryError::Object { object, .. } => Some(object.clone()),
            RepositoryError::Store(error) => Some(error.object.clone()),
            _ => None,
        };
        if let Some(object) = object {
            let mut report = self.report();
            let broken = &mut report.broken_remote_files;
            if broken.len() < wiring::REPORTED_PATHS_MAX && !broken.contains(&object) {
                broken.push(object);
            }
        }
        Ok(error.to_string())
    }

    /// Something of an entry's metadata could not be set.
    pub fn metadata_problem(&self, path: &[u8], message: String) {
        let number = self.metadata_warnings.fetch_add(1, Ordering::Relaxed);
        let severity = if number < wiring::METADATA_WARNINGS_MAX {
            Severity::Warning
        } else {
            Severity::Verbose
        };
        self.monitor.tell(severity, "MetadataNotRestored", path, message);
    }

    /// Completes a file of which the last piece is in, and counts it.
    pub fn finish(
        &self,
        job: &FileJob,
        folder: BorrowedFd<'_>,
        metadata: &mut MetadataWriter,
    ) -> Result<(), RunError> {
        let end = job.finish(folder, metadata, |message| {
            self.metadata_problem(&job.path(&self.prefix), message)
        });
        let progress = &self.monitor.progress;
        match end {
            Err(error) => return self.refused(&job.path(&self.prefix), error),
            Ok(FileEnd::Failed(reason)) => self.entry_failed(&job.path(&self.prefix), &reason),
            Ok(FileEnd::Unmodified) => self.unmodified(job.size),
            Ok(end @ (FileEnd::Restored | FileEnd::Patched)) => {
                Progress::add(&progress.restored_files, 1);
                Progress::add(&progress.restored_bytes, job.size);
                let mut report = self.report();
                report.restored_files += 1;
                report.patched_files += u64::from(end == FileEnd::Patched);
                report.restored_files_bytes += job.size;
                report.restored_data_bytes += job.written_bytes();
            }
        }
        Ok(())
    }

    /// Counts a file that was right already.
    pub fn unmodified(&self, size: u64) {
        let mut report = self.report();
        report.unmodified_files += 1;
        report.unmodified_files_bytes += size;
    }

    /// Remembers a file that stays open; the one that was used longest ago is closed for it.
    pub fn keep_open(&self, job: &Arc<PlannedFile>) -> Result<(), RunError> {
        let closed = {
            let mut open = lock(&self.open_files);
            if open.get(&job.number).is_some() {
                return Ok(());
            }
            open.insert(job.number, Arc::clone(job), 1)
        };
        for (_, other) in closed {
            if let Err(error) = other.close() {
                other.fail(explain(error));
            }
        }
        Ok(())
    }

    /// Forgets a file that is complete.
    pub fn forget_open(&self, job: &FileJob) {
        lock(&self.open_files).remove(&job.number);
    }

    /// The group of hard links that an entry belongs to.
    pub fn link_group(entry: &TreeEntry) -> Option<(u64, u64)> {
        entry.hard_linked.then_some((entry.device, entry.inode))
    }
}

/// A lock whose content stays whole whatever panics: each change is one call.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
