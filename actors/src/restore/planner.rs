// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Walks the snapshot in order: makes folders, links and special files at once, and plans the reads of files window by window.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use duplicati_engine::{
    format::{
        pack::PackClass,
        tree::{EntryBody, TreeEntry},
    },
    repository::RepositoryError,
    restore::{
        Selection,
        file::{FileJob, FileJobParts, Placement, open_existing, read_data},
        layout::FileLayout,
        metadata::MetadataWriter,
        plan::plan_reads,
        selection::{below_prefix, is_at_or_below, parent},
        target::{Folder, FolderCache, Target},
    },
    snapshot::WalkStep,
};
use rustix::{
    fs::{FileType, Mode},
    io::Errno,
};

use super::{
    batches::{AllWritten, PlannedFile, PlannedRead, Use},
    context::{Context, lock},
    existing::{Decision, FileContent, decide_file, decide_other},
    wiring,
};
use crate::{
    byte_budget::ByteBudget,
    error::RunError,
    events::{Progress, Severity},
    inlet::Inlet,
};

pub fn run(
    context: &Arc<Context>,
    runtime: &tokio::runtime::Handle,
    inlet: &Inlet<PlannedRead>,
    _until_done: Inlet<AllWritten>,
) -> Result<(), RunError> {
    match &context.target {
        None => context.control.block_on(runtime, dry_run(context))?,
        Some(target) => {
            let mut planner = Planner::new(Arc::clone(context), Arc::clone(target), inlet.clone());
            context.control.block_on(runtime, planner.walk())?
        }
    }
}

/// Counts and tells what would be restored.
async fn dry_run(context: &Context) -> Result<(), RunError> {
    let mut walk = context.tree.walk(&context.root);
    loop {
        context.control.check()?;
        let entry = match walk.next().await {
            Ok(Some(WalkStep::Entry(entry))) => entry,
            Ok(Some(WalkStep::Leave(_))) => continue,
            Ok(None) => return Ok(()),
            Err(error) => {
                let reason = context.unreadable(error)?;
                context.entry_failed(walk.path(), &reason);
                continue;
            }
        };
        let is_folder = matches!(entry.body, EntryBody::Directory { .. });
        match context.selector.select(walk.path(), is_folder) {
            Selection::Take => {}
            Selection::Below => continue,
            Selection::Leave => {
                walk.skip();
                continue;
            }
        }
        let mut report = context.report();
        match &entry.body {
            EntryBody::File { size, .. } if context.options.size_limit.is_some_and(|limit| *size > limit) => {
                report.too_large_files += 1;
                continue;
            }
            EntryBody::File { size, .. } => {
                report.restored_files += 1;
                report.restored_files_bytes += size;
            }
            EntryBody::Directory { .. } => report.restored_folders += 1,
            EntryBody::Symlink { .. } => report.restored_symlinks += 1,
            _ => report.restored_others += 1,
        }
        drop(report);
        context.monitor.tell(
            Severity::Information,
            "WouldRestore",
            walk.path(),
            "would be restored",
        );
    }
}

/// What the allocator adds to the few pieces that a file is made of, bytes.
const ALLOCATIONS_BYTES: usize = 64;
/// What a folder takes besides its path, bytes.
const FOLDER_BYTES: usize = size_of::<Folder>() + ALLOCATIONS_BYTES;

/// A folder on the present path in the target.
struct Level {
    folder: Arc<Folder>,
    /// Made by this run, so that nothing in it needs looking at.
    is_fresh: bool,
    has_failed: bool,
}

struct Planner {
    context: Arc<Context>,
    target: Arc<Target>,
    inlet: Inlet<PlannedRead>,
    folders: FolderCache,
    metadata: MetadataWriter,
    levels: Vec<Level>,
    next_number: u64,
    window: Vec<Use>,
    window_pieces: usize,
    window_files_bytes: u64,
    /// The folder of which the memory was counted last.
    counted_folder: u64,
    /// What files take from here until their last piece is written.
    files: ByteBudget,
    /// What lists of pieces take once they are on their way.
    uses: ByteBudget,
}

impl Planner {
    fn new(context: Arc<Context>, target: Arc<Target>, inlet: Inlet<PlannedRead>) -> Self {
        let root = Folder {
            number: 0,
            path: Vec::new(),
        };
        Self {
            folders: FolderCache::new(Arc::clone(&target), wiring::FOLDERS_OPEN_MAX),
            metadata: MetadataWriter::new(&context.options),
            levels: vec![Level {
                folder: Arc::new(root),
                is_fresh: false,
                has_failed: false,
            }],
            next_number: 1,
            window: Vec::new(),
            window_pieces: wiring::WINDOW_PIECES_FIRST,
            window_files_bytes: 0,
            counted_folder: 0,
            files: ByteBudget::new(wiring::FILES_BYTES_MAX, &context.control),
            uses: ByteBudget::new(wiring::USES_BYTES_MAX, &context.control),
            context,
            target,
            inlet,
        }
    }

    async fn walk(&mut self) -> Result<(), RunError> {
        let context = Arc::clone(&self.context);
        let mut walk = context.tree.walk(&context.root);
        loop {
            context.control.check()?;
            let entry = match walk.next().await {
                Ok(Some(WalkStep::Entry(entry))) => entry,
                Ok(Some(WalkStep::Leave(_))) => continue,
                Ok(None) => break,
                Err(error) => {
                    let reason = context.unreadable(error)?;
                    context.entry_failed(
                        walk.path(),
                        &format!("the folder cannot be read any further: {reason}"),
                    );
                    continue;
                }
            };
            let is_folder = matches!(entry.body, EntryBody::Directory { .. });
            match context.selector.select(walk.path(), is_folder) {
                Selection::Leave => walk.skip(),
                Selection::Below => {}
                Selection::Take if !is_at_or_below(walk.path(), &context.prefix) => {
                    context.entry_failed(walk.path(), "it lies in a damaged folder");
                }
                Selection::Take if is_folder => {
                    if !self.folder(walk.path(), &entry)? {
                        walk.skip();
                    }
                }
                Selection::Take => self.entry(walk.path(), entry).await?,
            }
        }
        self.dispatch().await
    }

    /// Makes a selected folder; false when nothing below it can be restored.
    fn folder(&mut self, path: &[u8], entry: &TreeEntry) -> Result<bool, RunError> {
        let below = below_prefix(path, &self.context.prefix);
        match self.enter(below, Some(entry)) {
            Ok(()) => Ok(true),
            Err(error) => self.context.refused(path, error).map(|()| false),
        }
    }

    /// Makes the last level the folder of this path, making what is missing. Folders on the way that were not selected get no metadata.
    fn enter(&mut self, below: &[u8], entry: Option<&TreeEntry>) -> Result<(), Errno> {
        while self.levels.len() > 1
            && self
                .levels
                .last()
                .is_some_and(|level| !is_at_or_below(below, &level.folder.path))
        {
            self.levels.pop();
        }
        loop {
            let top = self.levels.last().expect("the target is always there");
            if top.has_failed {
                return Err(Errno::NOENT);
            }
            let rest = match top.folder.path.len() {
                0 => below,
                length => below.get(length + 1..).unwrap_or_default(),
            };
            if rest.is_empty() {
                return Ok(());
            }
            let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
            let path = below[..below.len() - rest.len() + name.len()].to_vec();
            let mode = self
                .metadata
                .mode_for_new_folder(entry.filter(|_| path.len() == below.len()));
            let top = Arc::clone(&top.folder);
            let made = self
                .folders
                .get(&top)
                .and_then(|parent| self.target.make_folder(parent.as_fd(), name, mode));
            let folder = Arc::new(Folder {
                number: self.number(),
                path,
            });
            let (is_fresh, failure) = match made {
                Ok((open, is_fresh)) => {
                    self.folders.put(&folder, &Arc::new(open));
                    (is_fresh, None)
                }
                Err(error) => (false, Some(error)),
            };
            if is_fresh {
                self.context.report().restored_folders += 1;
            }
            self.levels.push(Level {
                folder,
                is_fresh,
                has_failed: failure.is_some(),
            });
            if let Some(error) = failure {
                return Err(error);
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    async fn entry(&mut self, path: &[u8], entry: TreeEntry) -> Result<(), RunError> {
        let context = Arc::clone(&self.context);
        if let EntryBody::File { size, .. } = entry.body {
            if context.options.size_limit.is_some_and(|limit| size > limit) {
                context.report().too_large_files += 1;
                Progress::add(&context.monitor.progress.too_large_files, 1);
                return Ok(());
            }
            Progress::add(&context.monitor.progress.expected_files, 1);
            Progress::add(&context.monitor.progress.expected_bytes, size);
        }
        let group = Context::link_group(&entry);
        if group.is_some_and(|group| lock(&context.hard_links).first.contains_key(&group)) {
            // The finisher makes it a name of the first, which is complete by then.
            return Ok(());
        }
        let below = parent(below_prefix(path, &context.prefix)).to_vec();
        let open = match self.enter(&below, None) {
            Ok(()) => {
                let folder = &self.levels.last().expect("the target is always there").folder;
                self.folders.get(folder)
            }
            Err(error) => Err(error),
        };
        let open = match open {
            Ok(open) => open,
            Err(Errno::NOENT) => {
                context.entry_failed(path, "its folder could not be made");
                return Ok(());
            }
            Err(error) => return context.refused(path, error),
        };
        let name = if matches!(entry.body, EntryBody::File { .. }) {
            self.file(path, entry, &open).await?
        } else {
            self.other(path, &entry, &open)?
        };
        if let (Some(group), Some(name)) = (group, name) {
            let mut links = lock(&context.hard_links);
            let bytes = path.len() + below.len() + name.len() + 128;
            if links.bytes + bytes <= wiring::HARD_LINKS_BYTES_MAX {
                links.bytes += bytes;
                let mut place = below;
                if !place.is_empty() {
                    place.push(b'/');
                }
                place.extend_from_slice(&name);
                links.first.insert(group, (place, path.to_vec()));
            }
        }
        Ok(())
    }

    /// Plans a file; returns the name it gets or has.
    async fn file(
        &mut self,
        path: &[u8],
        mut entry: TreeEntry,
        folder: &Arc<OwnedFd>,
    ) -> Result<Option<Vec<u8>>, RunError> {
        let context = Arc::clone(&self.context);
        let EntryBody::File { size, content, holes } = &mut entry.body else {
            return Ok(None);
        };
        let (size, list, holes) = (*size, std::mem::take(content), std::mem::take(holes));
        let content = FileContent {
            size,
            holes: &holes,
            list: &list,
        };
        let Some(data_size) = content.data_size() else {
            context.entry_failed(path, "its holes are larger than itself");
            return Ok(None);
        };
        let level = self.levels.last().expect("the target is always there");
        let decision = if level.is_fresh {
            Decision::Write(entry.name.clone(), Placement::New)
        } else {
            decide_file(&context, folder.as_fd(), &entry.name, &content).await?
        };
        let (name, placement) = match decision {
            Decision::Write(name, placement) => (name, placement),
            Decision::Failed(reason) => {
                context.entry_failed(path, &reason);
                return Ok(None);
            }
            Decision::Unmodified(name) => {
                context.unmodified(size);
                self.refresh_metadata(path, &entry, folder, &name);
                return Ok(Some(name));
            }
        };
        let here = &self.levels.last().expect("the target is always there").folder;
        let mut bytes = file_bytes(&entry, &name, holes.len());
        // Its first file stands for the folder; later ones may outlive it.
        if std::mem::replace(&mut self.counted_folder, here.number) != here.number {
            bytes += (here.path.len() + FOLDER_BYTES) as u64;
        }
        let memory = match self.files.try_acquire(bytes)? {
            Some(memory) => memory,
            None => {
                // Those who have memory wait in the window; it comes back when they are written.
                self.dispatch().await?;
                self.files.acquire(bytes)?
            }
        };
        self.window_files_bytes += bytes;
        let existing = match placement {
            Placement::Patch { .. } => open_existing(folder.as_fd(), &name),
            _ => None,
        };
        let job = FileJob::new(FileJobParts {
            number: self.number(),
            folder: Arc::clone(&self.levels.last().expect("the target is always there").folder),
            name: name.clone(),
            entry,
            size,
            layout: FileLayout::new(&holes),
            placement,
            sparse: context.options.sparse,
        });
        let job = Arc::new(PlannedFile::new(job, memory));
        // A file that is corrected in place has no holes.
        let dense = FileLayout::default();
        let mut leaves = context.tree.leaves(&list);
        let mut buffer = Vec::new();
        let mut offset = 0u64;
        loop {
            let id = match leaves.next().await {
                Ok(Some(id)) => id,
                Ok(None) if offset == data_size => break,
                Ok(None) => {
                    job.fail("its chunks do not add up to its size");
                    break;
                }
                Err(error) => {
                    job.fail(context.unreadable(error)?);
                    break;
                }
            };
            let frames = context.tree.frames();
            let Some(place) = frames.index().find(&id) else {
                job.fail(context.unreadable(RepositoryError::MissingChunk { id: id.to_string() })?);
                break;
            };
            if let Some((open, _)) = &existing {
                buffer.resize(place.length as usize, 0);
                if read_data(open.as_fd(), &dense, offset, &mut buffer)
                    && frames.repository().hasher.id(PackClass::Data, &buffer) == id
                {
                    offset += u64::from(place.length);
                    continue;
                }
            }
            job.expect_piece();
            self.window.push(Use {
                frame: place.frame,
                offset: place.offset,
                length: place.length,
                id,
                file: Arc::clone(&job),
                data_offset: offset,
            });
            offset += u64::from(place.length);
            if self.window.len() >= self.window_pieces {
                self.dispatch().await?;
            }
        }
        if job.done(1) {
            context.forget_open(&job);
            context.finish(&job, folder.as_fd(), &mut self.metadata)?;
        }
        if self.window_files_bytes >= wiring::WINDOW_FILES_BYTES_MAX {
            self.dispatch().await?;
        }
        Ok(Some(name))
    }

    /// Times are set last, so a file with the right time has everything else already.
    fn refresh_metadata(&mut self, path: &[u8], entry: &TreeEntry, folder: &Arc<OwnedFd>, name: &[u8]) {
        let Some((open, stat)) = open_existing(folder.as_fd(), name) else {
            return;
        };
        let is_done = stat.st_mtime == entry.mtime.seconds
            && stat.st_mtime_nsec == u64::from(entry.mtime.nanoseconds)
            && (!self.context.options.restore_permissions
                || (stat.st_mode & 0o7777 == entry.mode && self.metadata.is_owner(&stat, entry)));
        if !is_done {
            let context = &self.context;
            self.metadata.apply_open(open.as_fd(), entry, |message| {
                context.metadata_problem(path, message)
            });
        }
    }

    /// Makes a link, pipe, socket or device; returns the name it gets or has.
    fn other(
        &mut self,
        path: &[u8],
        entry: &TreeEntry,
        folder: &Arc<OwnedFd>,
    ) -> Result<Option<Vec<u8>>, RunError> {
        let context = Arc::clone(&self.context);
        let (name, is_new) = match decide_other(&context, folder.as_fd(), &entry.name, &entry.body) {
            Ok(Decision::Write(name, _)) => (name, true),
            Ok(Decision::Unmodified(name)) => (name, false),
            Ok(Decision::Failed(reason)) => {
                context.entry_failed(path, &reason);
                return Ok(None);
            }
            Err(error) => return context.refused(path, error).map(|()| None),
        };
        if is_new {
            match make_other(folder, &name, &entry.body) {
                Ok(()) => {
                    let mut report = context.report();
                    match entry.body {
                        EntryBody::Symlink { .. } => report.restored_symlinks += 1,
                        _ => report.restored_others += 1,
                    }
                }
                Err(Errno::PERM)
                    if matches!(
                        entry.body,
                        EntryBody::CharDevice { .. } | EntryBody::BlockDevice { .. }
                    ) =>
                {
                    let message = "only root may make devices; it was left out";
                    context
                        .monitor
                        .tell(Severity::Warning, "DeviceNotRestored", path, message);
                    return Ok(None);
                }
                Err(error) => return context.refused(path, error).map(|()| None),
            }
        }
        self.metadata
            .apply_named(folder.as_fd(), &name, entry, |message| {
                context.metadata_problem(path, message)
            });
        Ok(Some(name))
    }

    /// Sends the window on its way.
    async fn dispatch(&mut self) -> Result<(), RunError> {
        let window = std::mem::take(&mut self.window);
        self.window_pieces = (self.window_pieces * 2).min(wiring::WINDOW_PIECES_MAX);
        self.window_files_bytes = 0;
        let context = Arc::clone(&self.context);
        for batch in plan_reads(window, context.tree.frames().index()) {
            if let Some(item) = batch.uses.first() {
                let path = item.file.path(&context.prefix);
                context.monitor.progress.set_current(&path);
            }
            let memory = Arc::new(self.uses.acquire((batch.uses.len() * size_of::<Use>()) as u64)?);
            self.inlet.send(PlannedRead { batch, memory }).await?;
        }
        Ok(())
    }
}

/// Memory that a file takes while it is under way, bytes.
fn file_bytes(entry: &TreeEntry, name: &[u8], holes: usize) -> u64 {
    let xattrs = entry
        .xattrs
        .iter()
        .map(|(name, value)| name.len() + value.len() + size_of::<(Vec<u8>, Vec<u8>)>());
    let bytes = size_of::<PlannedFile>()
        + ALLOCATIONS_BYTES
        + entry.name.len()
        + if entry.name == name { 0 } else { name.len() }
        + xattrs.sum::<usize>()
        + holes * size_of::<(u64, u64)>();
    bytes as u64
}

fn make_other(folder: &Arc<OwnedFd>, name: &[u8], body: &EntryBody) -> Result<(), Errno> {
    // Until its metadata is set, only the owner may use it.
    let node = |kind, device| rustix::fs::mknodat(folder, name, kind, Mode::from_raw_mode(0o600), device);
    match body {
        EntryBody::Symlink { target } => rustix::fs::symlinkat(target.as_slice(), folder, name),
        EntryBody::Fifo => node(FileType::Fifo, 0),
        EntryBody::Socket => node(FileType::Socket, 0),
        EntryBody::CharDevice { major, minor } => {
            node(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))
        }
        EntryBody::BlockDevice { major, minor } => {
            node(FileType::BlockDevice, rustix::fs::makedev(*major, *minor))
        }
        EntryBody::File { .. } | EntryBody::Directory { .. } => Err(Errno::INVAL),
    }
}
