// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads files, cuts them, names the chunks and keeps those that are new.
//!
//! In: `WalkBatch` from the walker. Out: `BuiltBatch` to the tree builder, new chunks in frames to the sealers. Waits for room in front of both and for
//! the byte budget. Several workers share the queue; a batch's place in the order travels with it.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::Read,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    sync::Arc,
};

use duplicati_engine::{
    clock::{Clock, Timestamp},
    compression::CompressibilityTest,
    format::{
        chunk_list::ChunkList,
        manifest::ControlFile,
        pack::PackClass,
        path_text::PathText,
        tree::{EntryBody, Hole, Owner, TreeEntry},
    },
    index::ChunkSet,
    repository::Repository,
    source::{
        AdvisoryLocking, EntryKind, EntryStat, SourceError, SourceErrorKind, display_path,
        exclusion::is_excluded_by,
        owner::OwnerNames,
        sparse::data_extents,
        xattr::{XattrBuffer, XattrSet, read_open_xattrs},
    },
};

use super::{
    batches::{BuiltBatch, BuiltItem, FileTask, WalkBatch, WalkItem},
    frame_filler::{FrameFiller, FrameKind},
    list_writer::ListWriter,
    parent::ParentTree,
    skip::Skip,
    tree_builder::store_tree_chunk,
};
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress, Severity},
    inlet::{Inlet, Outlet},
};

/// Name of the stage.
pub const NAME: &str = "chunker";

/// What a chunker works with.
pub struct Chunker {
    /// Cuts and names.
    pub repository: Arc<Repository>,
    /// Chunks that need not be stored.
    pub known: Arc<ChunkSet>,
    /// Batches to read.
    pub batches: Outlet<WalkBatch>,
    /// The next stage.
    pub tree_builder: Inlet<BuiltBatch>,
    /// Frames of new chunks and of long chunk lists.
    pub frames: FrameFiller,
    /// Hears of files that need no reading next time, when no tree can tell.
    pub skip: Option<Skip>,
    /// The version before, for files that cannot be read.
    pub parent: Option<ParentTree>,
    /// Refuse locked files.
    pub locking: AdvisoryLocking,
    /// Store no metadata.
    pub skip_metadata: bool,
    /// Leave out files marked by an extended attribute.
    pub honour_exclusion_xattr: bool,
    /// For standard input, which has no times of its own.
    pub clock: Arc<dyn Clock>,
    /// The run.
    pub control: RunControl,
    /// Counters.
    pub monitor: Monitor,
}

/// A file's content as it was read.
#[derive(Default)]
struct Content {
    list: ListWriter,
    /// The chunks that the list names, in short, for the skip table.
    below: Vec<[u8; 16]>,
    size: u64,
    holes: Vec<Hole>,
}

enum ReadFailure {
    Run(RunError),
    Item(std::io::Error),
}

impl From<RunError> for ReadFailure {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<std::io::Error> for ReadFailure {
    fn from(error: std::io::Error) -> Self {
        Self::Item(error)
    }
}

/// What became of a file to be read.
enum TaskEnd {
    Read(Box<TreeEntry>),
    /// Told and counted.
    Failed,
    /// Left out on purpose.
    Excluded,
}

struct Scratch {
    window: Vec<u8>,
    xattrs: XattrBuffer,
    owners: OwnerCache,
    test: CompressibilityTest,
}

impl Chunker {
    /// Works until the stream ends.
    pub fn run(mut self) -> Result<(), RunError> {
        let mut scratch = Scratch {
            window: vec![0; self.repository.chunker.size_max() * 2],
            xattrs: XattrBuffer::default(),
            owners: OwnerCache::default(),
            test: CompressibilityTest::default(),
        };
        while let Some(batch) = self.batches.receive_blocking()? {
            let WalkBatch {
                sequence,
                items,
                bytes: _,
                window,
            } = batch;
            let mut built = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    WalkItem::Enter(entry) => built.push(BuiltItem::Enter(entry)),
                    WalkItem::Ready(entry) => built.push(BuiltItem::Entry(entry)),
                    WalkItem::Link(entry) => built.push(BuiltItem::Link(entry)),
                    WalkItem::Leave { drop_if_empty } => built.push(BuiltItem::Leave { drop_if_empty }),
                    WalkItem::File(task) => {
                        let (device, inode) = (task.stat.device, task.stat.inode);
                        let has_links = task.stat.link_count > 1;
                        match self.read_task(task, &mut scratch)? {
                            TaskEnd::Read(entry) => built.push(BuiltItem::Entry(entry)),
                            TaskEnd::Excluded if has_links => {
                                built.push(BuiltItem::LeftOut(device, inode));
                            }
                            TaskEnd::Excluded | TaskEnd::Failed => {}
                        }
                    }
                    WalkItem::ControlFile(path) => built.extend(
                        self.read_control_file(&path, &mut scratch)?
                            .map(BuiltItem::ControlFile),
                    ),
                    WalkItem::Stdin(name) => {
                        built.push(BuiltItem::Entry(Box::new(self.read_stdin(name, &mut scratch)?)))
                    }
                }
            }
            self.tree_builder.send_blocking(BuiltBatch {
                sequence,
                items: built,
                window,
            })?;
        }
        self.frames.flush()
    }

    /// Reads one file; a file that cannot be read is told and left out.
    fn read_task(&mut self, task: FileTask, scratch: &mut Scratch) -> Result<TaskEnd, RunError> {
        self.control.check()?;
        let progress = Arc::clone(&self.monitor.progress);
        if task.stat.size > 64 << 20 {
            progress.set_current(&join(&task.folder_path, &task.name));
        }
        let opened = if task.follow {
            task.folder.open_file_followed(&task.name, self.locking)
        } else {
            task.folder.open_file(&task.name, self.locking)
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                return Ok(self.unreadable(task, &error));
            }
        };
        let xattrs = if self.skip_metadata {
            Vec::new()
        } else {
            match read_open_xattrs(&file.file, &mut scratch.xattrs) {
                Ok(set) if self.honour_exclusion_xattr && is_excluded_by(&set) => {
                    self.monitor.tell(
                        Severity::Verbose,
                        "Excluded",
                        &join(&task.folder_path, &task.name),
                        "excluded",
                    );
                    return Ok(TaskEnd::Excluded);
                }
                Ok(set) => self.sorted_xattrs(set, &task),
                Err(error) => {
                    let path = join(&task.folder_path, &task.name);
                    self.monitor.tell(
                        Severity::Warning,
                        "AttributesUnreadable",
                        &path,
                        error.to_string(),
                    );
                    Vec::new()
                }
            }
        };
        let content = match self.read_content(&file.file, &file.stat, scratch) {
            Ok(content) => content,
            Err(ReadFailure::Run(error)) => return Err(error),
            Err(ReadFailure::Item(error)) => {
                let error = SourceError {
                    path: task.name.clone(),
                    kind: SourceErrorKind::Io,
                    source: error,
                };
                return Ok(self.unreadable(task, &error));
            }
        };
        Progress::add(&progress.opened_files, 1);
        Progress::add(&progress.opened_bytes, content.size);
        let change = change_while_read(&file.file, &file.stat, content.size);
        let is_as_seen = change.is_none();
        if let Some(message) = change {
            self.monitor.tell(
                Severity::Information,
                "FileChangedWhileRead",
                &join(&task.folder_path, &task.name),
                message,
            );
        }
        if task.known {
            Progress::add(&progress.modified_files, 1);
            Progress::add(&progress.modified_bytes, content.size);
        } else {
            Progress::add(&progress.added_files, 1);
            Progress::add(&progress.added_bytes, content.size);
        }
        let path = self.skip.is_some().then(|| join(&task.folder_path, &task.name));
        let mut entry = scratch.owners.entry(task.name, &file.stat, self.skip_metadata);
        // The walker's: that of a snapshot stands for another one.
        entry.device = task.stat.device;
        entry.xattrs = xattrs;
        let mut below = Vec::new();
        entry.body = self.file_body(content, &mut below)?;
        if let (Some(skip), Some(path), true) = (&self.skip, path, is_as_seen) {
            skip.note(&path, &entry, file.stat.size, &below);
        }
        Ok(TaskEnd::Read(Box::new(entry)))
    }

    fn read_stdin(&mut self, name: Vec<u8>, scratch: &mut Scratch) -> Result<TreeEntry, RunError> {
        let now = self.clock.now();
        let mut content = Content::default();
        let read = self.cut_stream(&mut std::io::stdin().lock(), u64::MAX, &mut content, scratch);
        match read {
            Ok(_) => {}
            Err(ReadFailure::Run(error)) => return Err(error),
            // Half a stream is no backup: unlike a file, it cannot be read again.
            Err(ReadFailure::Item(error)) => {
                return Err(RunError::Refused(format!(
                    "failed to read standard input: {error}"
                )));
            }
        }
        if content.size == 0 {
            // A dump that failed says nothing and ends; as a version it would push out the last good one.
            return Err(RunError::Refused(
                "standard input ended without a single byte, so there is nothing to back up; see whether the program before the pipe failed"
                    .to_owned(),
            ));
        }
        let progress = &self.monitor.progress;
        Progress::add(&progress.opened_files, 1);
        Progress::add(&progress.opened_bytes, content.size);
        Progress::add(&progress.added_files, 1);
        Progress::add(&progress.added_bytes, content.size);
        Ok(TreeEntry {
            name,
            mode: 0o600,
            owner: Arc::default(),
            mtime: now,
            ctime: now,
            inode: 0,
            device: 0,
            hard_linked: false,
            no_metadata: false,
            xattrs: Vec::new(),
            body: self.file_body(content, &mut Vec::new())?,
        })
    }

    /// Reads a file that is kept beside the tree; one that cannot be read is told and left out.
    fn read_control_file(
        &mut self,
        path: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Option<ControlFile>, RunError> {
        let mut content = Content::default();
        let read = File::open(OsStr::from_bytes(path))
            .map_err(ReadFailure::from)
            .and_then(|mut file| self.cut_stream(&mut file, u64::MAX, &mut content, scratch));
        match read {
            Ok(()) => {}
            Err(ReadFailure::Run(error)) => return Err(error),
            Err(ReadFailure::Item(error)) => {
                let message = format!("the control file cannot be read: {error}");
                self.monitor
                    .tell(Severity::Warning, "ControlFileUnreadable", path, message);
                return Ok(None);
            }
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let size = content.size;
        let (list, _) = self.finish_list(content.list, Vec::new())?;
        Ok(Some(ControlFile {
            name: PathText(name.to_vec()),
            depth: list.depth,
            ids: list.ids,
            size,
        }))
    }

    /// Ends a file's list of chunks. `below` are its chunks in short; back come those that it names through list chunks, and these.
    fn finish_list(
        &mut self,
        list: ListWriter,
        mut below: Vec<[u8; 16]>,
    ) -> Result<(ChunkList, Vec<[u8; 16]>), RunError> {
        let notes = self.notes();
        let list = list.finish(&mut |content| {
            let id = store_tree_chunk(content, &self.repository, &self.known, &mut self.frames)?;
            if notes {
                below.push(id.prefix());
            }
            Ok(id)
        })?;
        if list.depth == 0 {
            below.clear();
        }
        Ok((list, below))
    }

    fn file_body(&mut self, content: Content, below: &mut Vec<[u8; 16]>) -> Result<EntryBody, RunError> {
        let (list, named) = self.finish_list(content.list, content.below)?;
        *below = named;
        Ok(EntryBody::File {
            size: content.size,
            content: list,
            holes: content.holes,
        })
    }

    /// Whether the skip table hears of what is read.
    fn notes(&self) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip.notes)
    }

    fn read_content(
        &mut self,
        file: &File,
        stat: &EntryStat,
        scratch: &mut Scratch,
    ) -> Result<Content, ReadFailure> {
        if stat.may_have_holes()
            && stat.size > 0
            && let Some(content) = self.read_sparse(file, stat, scratch)?
        {
            return Ok(content);
        }
        let mut content = Content::default();
        self.cut_stream(
            &mut Positioned { file, position: 0 },
            stat.size,
            &mut content,
            scratch,
        )?;
        Ok(content)
    }

    /// Reads only the places that hold data. `None`: the file has no usable holes, or it changed under way.
    fn read_sparse(
        &mut self,
        file: &File,
        stat: &EntryStat,
        scratch: &mut Scratch,
    ) -> Result<Option<Content>, ReadFailure> {
        let Ok(Some(extents)) = data_extents(file, stat) else {
            return Ok(None);
        };
        let mut content = Content {
            size: stat.size,
            ..Content::default()
        };
        let mut end = 0;
        let mut last_hole_end = 0;
        let mut total = 0;
        for extent in &extents {
            if extent.offset > end {
                content.holes.push(Hole {
                    gap: end - last_hole_end,
                    length: extent.offset - end,
                });
                last_hole_end = extent.offset;
            }
            end = extent.offset + extent.length;
            total += extent.length;
        }
        if end < stat.size {
            content.holes.push(Hole {
                gap: end - last_hole_end,
                length: stat.size - end,
            });
        }
        let mut reader = Extents {
            file,
            extents: extents
                .iter()
                .map(|extent| (extent.offset, extent.length))
                .collect(),
        };
        let mut data = Content::default();
        self.cut_stream(&mut reader, total, &mut data, scratch)?;
        if data.size != total {
            return Ok(None);
        }
        (content.list, content.below) = (data.list, data.below);
        Ok(Some(content))
    }

    /// Cuts a stream to its end; `expected` is its likely length in bytes.
    fn cut_stream(
        &mut self,
        reader: &mut impl Read,
        expected: u64,
        content: &mut Content,
        scratch: &mut Scratch,
    ) -> Result<(), ReadFailure> {
        let notes = self.notes();
        let size_max = self.repository.chunker.size_max();
        let (mut start, mut end, mut ended, mut read_bytes) = (0, 0, false, 0u64);
        loop {
            if !ended && end - start < size_max {
                scratch.window.copy_within(start..end, 0);
                (start, end) = (0, end - start);
                while !ended && end < scratch.window.len() {
                    let read = match reader.read(&mut scratch.window[end..]) {
                        Ok(read) => read,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error.into()),
                    };
                    end += read;
                    read_bytes += read as u64;
                    // A regular file that gave as much as it has and less than asked for has ended; asking again would cost a call per file.
                    ended = read == 0 || (end < scratch.window.len() && read_bytes == expected);
                }
                self.control.check()?;
            }
            if start == end {
                return Ok(());
            }
            let length = self.repository.chunker.cut(&scratch.window[start..end]);
            let chunk = &scratch.window[start..start + length];
            let id = self.repository.hasher.id(PackClass::Data, chunk);
            if self.known.insert(&id) {
                Progress::add(&self.monitor.progress.new_chunks, 1);
                Progress::add(&self.monitor.progress.new_bytes, length as u64);
                let kind = if scratch.test.is_incompressible(chunk) {
                    FrameKind::Noise
                } else {
                    FrameKind::Text
                };
                self.frames.add(kind, id, chunk)?;
            }
            if notes {
                content.below.push(id.prefix());
            }
            content.list.push(id, &mut |list| {
                let id = store_tree_chunk(list, &self.repository, &self.known, &mut self.frames)?;
                if notes {
                    content.below.push(id.prefix());
                }
                Ok(id)
            })?;
            content.size += length as u64;
            start += length;
        }
    }

    fn sorted_xattrs(&self, set: XattrSet, task: &FileTask) -> Vec<(Vec<u8>, Vec<u8>)> {
        if !set.unreadable.is_empty() {
            let path = join(&task.folder_path, &task.name);
            let names: Vec<_> = set
                .unreadable
                .iter()
                .map(|name| display_path(name).to_string())
                .collect();
            let message = format!("extended attributes that cannot be read: {}", names.join(", "));
            self.monitor
                .tell(Severity::Verbose, "AttributesUnreadable", &path, message);
        }
        xattr_pairs(set)
    }

    /// Tells it; the content that the version before has stays, since older versions may go at any time.
    fn unreadable(&self, mut task: FileTask, error: &SourceError) -> TaskEnd {
        self.tell_unreadable(&task, error);
        let may_be_gone = matches!(
            error.kind,
            SourceErrorKind::Vanished | SourceErrorKind::ChangedType
        );
        let is_whole = |known: &TreeEntry| match (&known.body, &self.parent) {
            (EntryBody::File { content, .. }, Some(tree)) => tree.is_whole(content),
            _ => false,
        };
        match task.kept.take().filter(|known| !may_be_gone && is_whole(known)) {
            Some(known) => {
                self.monitor.tell(
                    Severity::Information,
                    "FileKept",
                    &join(&task.folder_path, &task.name),
                    "it is taken over as the version before has it",
                );
                TaskEnd::Read(known)
            }
            None => TaskEnd::Failed,
        }
    }

    fn tell_unreadable(&self, task: &FileTask, error: &SourceError) {
        Progress::add(&self.monitor.progress.files_with_error, 1);
        let path = join(&task.folder_path, &task.name);
        let id = match error.kind {
            SourceErrorKind::Locked => "FileLocked",
            SourceErrorKind::Vanished => "FileVanished",
            SourceErrorKind::ChangedType => "FileChangedType",
            _ => "FileUnreadable",
        };
        self.monitor.tell(Severity::Warning, id, &path, error.to_string());
    }
}

/// How a file changed since it was opened, if it did. The entry keeps the earlier time, so the next backup reads it again.
fn change_while_read(file: &File, before: &EntryStat, size: u64) -> Option<String> {
    if size != before.size {
        return Some(format!(
            "it changed while it was read: {} bytes became {size}",
            before.size
        ));
    }
    before.is_written_since(file).then(|| {
        "it was written to while it was read: what is stored may mix its states; the next backup reads it again".to_owned()
    })
}

/// Extended attributes in the order of the format.
pub fn xattr_pairs(set: XattrSet) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs: Vec<_> = set
        .attributes
        .into_iter()
        .map(|xattr| (xattr.name, xattr.value))
        .collect();
    pairs.sort();
    pairs
}

/// Joins a folder's path and a name.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + name.len() + 1);
    path.extend_from_slice(folder);
    if !folder.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

struct Positioned<'a> {
    file: &'a File,
    position: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

struct Extents<'a> {
    file: &'a File,
    extents: std::collections::VecDeque<(u64, u64)>,
}

impl Read for Extents<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some((offset, length)) = self.extents.front_mut() else {
            return Ok(0);
        };
        let wanted = buffer.len().min(usize::try_from(*length).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..wanted], *offset)?;
        *offset += read as u64;
        *length -= read as u64;
        if *length == 0 {
            self.extents.pop_front();
        }
        Ok(read)
    }
}

/// Turns what `statx` says into entries; owners are looked up once.
#[derive(Default)]
pub struct OwnerCache {
    names: OwnerNames,
    owners: HashMap<(u32, u32), Arc<Owner>>,
}

impl OwnerCache {
    /// An entry without content and extended attributes.
    pub fn entry(&mut self, name: Vec<u8>, stat: &EntryStat, skip_metadata: bool) -> TreeEntry {
        let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        let names = &mut self.names;
        let owner = self.owners.entry((stat.uid, stat.gid)).or_insert_with(|| {
            let text = |name: Option<Arc<[u8]>>| name.map(|name| name.to_vec()).unwrap_or_default();
            let (user, group) = (text(names.user_name(stat.uid)), text(names.group_name(stat.gid)));
            Arc::new(Owner {
                uid: stat.uid,
                gid: stat.gid,
                user,
                group,
            })
        });
        TreeEntry {
            name,
            mode: stat.mode.into(),
            owner: Arc::clone(owner),
            mtime: time(stat.mtime_seconds, stat.mtime_nanoseconds),
            ctime: time(stat.ctime_seconds, stat.ctime_nanoseconds),
            inode: stat.inode,
            device: stat.device,
            hard_linked: stat.link_count > 1 && stat.kind != EntryKind::Directory,
            no_metadata: skip_metadata,
            xattrs: Vec::new(),
            body: match stat.kind {
                EntryKind::File => EntryBody::File {
                    size: 0,
                    content: ChunkList::default(),
                    holes: Vec::new(),
                },
                EntryKind::Directory => EntryBody::Directory {
                    content: ChunkList::default(),
                    entries_below: 0,
                    bytes_below: 0,
                },
                EntryKind::Symlink => EntryBody::Symlink { target: Vec::new() },
                EntryKind::Fifo => EntryBody::Fifo,
                EntryKind::Socket => EntryBody::Socket,
                EntryKind::CharDevice { major, minor } => EntryBody::CharDevice { major, minor },
                EntryKind::BlockDevice { major, minor } => EntryBody::BlockDevice { major, minor },
            },
        }
    }
}
