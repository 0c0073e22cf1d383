// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The parent snapshot's tree, read in step with the walk.

use std::{
    cmp::Ordering,
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use duplicati_engine::{
    format::{
        chunk_list::ChunkList,
        tree::{EntryBody, TreeEntry},
    },
    id::PackId,
    index::ChunkSet,
    repository::RepositoryError,
    snapshot::{DirectoryReader, TreeReader},
};
use tokio::runtime::Handle;

use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress, Severity},
};

/// Reads folders of the parent's tree from the walker's thread.
#[derive(Clone)]
pub struct ParentTree {
    /// The reader.
    pub tree: Arc<TreeReader>,
    /// For requests to the target.
    pub runtime: Handle,
    /// Chunks that may be used again.
    pub known: Arc<ChunkSet>,
    /// Whether it is a version of this machine.
    pub of_this_host: bool,
    /// Packs that turned out to be damaged while it was read.
    pub broken: BrokenPacks,
    /// Ends every wait when the run is over.
    pub control: RunControl,
    /// Counters.
    pub monitor: Monitor,
}

/// Packs that a run finds damaged under way: what it took for stored in them is not.
#[derive(Debug, Clone, Default)]
pub struct BrokenPacks(Arc<Mutex<HashSet<PackId>>>);

impl BrokenPacks {
    /// Notes the pack that an error is about, if it is about the bytes of one.
    pub fn note(&self, error: &RepositoryError) {
        if let Some(pack) = error.damaged_pack() {
            self.lock().insert(pack);
        }
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes them out.
    pub fn take(&self) -> Vec<PackId> {
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<PackId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One folder of the parent, as far as it has been read.
pub struct ParentFolder {
    reader: DirectoryReader,
    next: Option<TreeEntry>,
    done: bool,
    unreadable: bool,
}

impl ParentTree {
    /// Begins a folder.
    pub fn folder(&self, content: &ChunkList) -> ParentFolder {
        ParentFolder {
            reader: self.tree.directory(content),
            next: None,
            done: false,
            unreadable: false,
        }
    }

    /// The entry of this name; entries passed over are gone from the source. A folder that cannot be read any further counts as new: that costs
    /// reading, never data.
    pub fn find(&self, folder: &mut ParentFolder, name: &[u8]) -> Option<TreeEntry> {
        loop {
            self.fill(folder);
            match folder.next.as_ref()?.name.as_slice().cmp(name) {
                Ordering::Less => self.count_gone(folder.next.take()),
                Ordering::Equal => return folder.next.take(),
                Ordering::Greater => return None,
            }
        }
    }

    /// The next entry, for whoever takes over the folder as it is.
    ///
    /// # Errors
    /// When the folder cannot be read to its end: what is not seen cannot be taken over, and leaving it out would lose it.
    pub fn next(&self, folder: &mut ParentFolder) -> Result<Option<TreeEntry>, RunError> {
        self.fill(folder);
        self.control.check()?;
        if folder.unreadable {
            return Err(RunError::Refused(
                "the previous version cannot be read in full, so nothing can be taken over from it; back up without naming \
                 the changed files"
                    .to_owned(),
            ));
        }
        Ok(folder.next.take())
    }

    /// Counts what is left at the end of a folder as gone.
    pub fn finish(&self, folder: &mut ParentFolder) {
        loop {
            self.fill(folder);
            if folder.next.is_none() {
                return;
            }
            self.count_gone(folder.next.take());
        }
    }

    fn fill(&self, folder: &mut ParentFolder) {
        if folder.next.is_some() || folder.done {
            return;
        }
        folder.next = folder.reader.next_at_hand();
        if folder.next.is_some() {
            return;
        }
        match self.control.block_on(&self.runtime, folder.reader.next()) {
            Ok(Ok(Some(entry))) => folder.next = Some(entry),
            Ok(Ok(None)) => folder.done = true,
            // The run is over; nobody asks for more.
            Err(_) => (folder.done, folder.unreadable) = (true, true),
            Ok(Err(error)) => {
                (folder.done, folder.unreadable) = (true, true);
                self.broken.note(&error);
                self.tell(&error);
            }
        }
    }

    fn tell(&self, error: &RepositoryError) {
        let message =
            format!("a folder of the previous version cannot be read, its files are read again: {error}");
        self.monitor
            .tell(Severity::Warning, "ParentUnreadable", b"", message);
    }

    /// Counts an entry, and what is below, as gone.
    pub fn count_gone(&self, entry: Option<TreeEntry>) {
        let progress = &self.monitor.progress;
        match entry.map(|entry| entry.body) {
            Some(EntryBody::File { .. }) => Progress::add(&progress.deleted_files, 1),
            Some(EntryBody::Directory { entries_below, .. }) => {
                Progress::add(&progress.deleted_folders, 1);
                Progress::add(&progress.deleted_files, entries_below);
            }
            Some(_) => Progress::add(&progress.deleted_symlinks, 1),
            None => {}
        }
    }

    /// Whether every chunk of a list may be used again (S-2): all are in packs that exist and that no plan condemns.
    pub fn is_whole(&self, list: &ChunkList) -> bool {
        if !list.ids.iter().all(|id| self.known.contains(id)) {
            return false;
        }
        if list.depth == 0 {
            return true;
        }
        let mut leaves = self.tree.leaves(list);
        loop {
            match self.control.block_on(&self.runtime, leaves.next()) {
                Ok(Ok(Some(id))) if self.known.contains(&id) => {}
                Ok(Ok(Some(_))) | Err(_) => return false,
                Ok(Err(error)) => {
                    self.broken.note(&error);
                    return false;
                }
                Ok(Ok(None)) => return true,
            }
        }
    }
}
