// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Walks the sources in order, in step with the parent snapshot's tree.
//!
//! In: nothing. Out: `WalkBatch` to the chunkers. Waits for room there and for the window. Unchanged entries are passed on as the parent has
//! them; nothing is read here but folders and metadata. A folder or file that cannot be read is told and left out: it never stops the walk.

use std::{
    collections::HashSet,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use duplicati_engine::{
    format::{
        chunk_list::ChunkList,
        tree::{EntryBody, TreeEntry},
    },
    source::{
        DirectoryIdentity, EntryKind, EntryStat, ListingBuffer, SourceDirectory, SourceError,
        SourceErrorKind, exclusion::is_excluded_by, is_hidden, xattr::XattrBuffer,
    },
};

use super::{
    ahead::{Ahead, FolderAhead, FoundFolder},
    batches::{FileTask, WalkBatch, WalkItem},
    chunker::{OwnerCache, xattr_pairs},
    kept::IfUnreadable,
    options::{BackupOptions, ChangeDetection, HardlinkPolicy, SymlinkPolicy},
    parent::{ParentFolder, ParentTree},
    selection::Look,
    skip::Skip,
    source_tree::SourceNode,
    wiring::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BATCH_FOLDERS_MAX, WALKER_OPEN_FOLDERS_MAX},
};
use crate::{
    byte_budget::ByteBudget,
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress, Severity},
    inlet::Inlet,
};

/// Name of the stage.
pub const NAME: &str = "walker";
/// How often a folder of the way is opened again before what is left in it is given up.
const REOPEN_TRIES: u32 = 50;
/// Time between two tries.
const REOPEN_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What the walker works with.
pub struct WalkerArguments {
    /// What is asked for.
    pub options: Arc<BackupOptions>,
    /// The parent's tree and the list of its root.
    pub parent: Option<(ParentTree, ChunkList)>,
    /// What says which files need no reading when there is no parent to read.
    pub skip: Option<Skip>,
    /// The next stage.
    pub chunker: Inlet<WalkBatch>,
    /// Batches that may be between here and the tree builder.
    pub window: ByteBudget,
    /// The run.
    pub control: RunControl,
    /// Counters.
    pub monitor: Monitor,
}

/// One folder on the way from the root to where the walk is.
struct Level<'a> {
    /// None while it is closed to save descriptors.
    folder: Option<Arc<SourceDirectory>>,
    identity: Option<DirectoryIdentity>,
    /// Folders between it and the root.
    depth: usize,
    names: Names<'a>,
    position: usize,
    /// Length of the path of this folder.
    path_length: usize,
    shared_path: Option<Arc<[u8]>>,
    parent: Option<ParentFolder>,
    /// File system of the source, for `one_file_system`.
    device: Option<u64>,
    drop_if_empty: bool,
    /// A source that the parent does not have, or below one: all of it is looked at, whatever is said to have changed.
    is_new: bool,
}

enum Names<'a> {
    /// A folder above a source: only the way down.
    Way(&'a SourceNode),
    /// A folder of a source.
    All(FolderAhead),
    /// A folder of which only some paths below are looked at: the names that the parent has and those that are asked for.
    Chosen(Vec<Vec<u8>>),
}

pub(super) struct Walker {
    pub(super) options: Arc<BackupOptions>,
    pub(super) parent: Option<ParentTree>,
    skip: Option<Skip>,
    ahead: Arc<Ahead>,
    chunker: Inlet<WalkBatch>,
    window: ByteBudget,
    control: RunControl,
    pub(super) monitor: Monitor,
    owners: OwnerCache,
    xattrs: XattrBuffer,
    listing: ListingBuffer,
    pub(super) path: Vec<u8>,
    items: Vec<WalkItem>,
    bytes: u64,
    folders: usize,
    sequence: u64,
    linked: HashSet<(u64, u64)>,
    /// Device numbers of snapshots, and what they stand for.
    pub(super) devices: Vec<(u64, u64)>,
}

/// Walks to the end of the sources, or until the run shall finish early.
pub fn run(arguments: WalkerArguments) -> Result<(), RunError> {
    let WalkerArguments {
        options,
        parent,
        skip,
        chunker,
        window,
        control,
        monitor,
    } = arguments;
    let (parent, root) = parent.unzip();
    let mut walker = Walker {
        options,
        parent,
        skip,
        ahead: Arc::default(),
        chunker,
        window,
        control,
        monitor,
        owners: OwnerCache::default(),
        xattrs: XattrBuffer::default(),
        listing: ListingBuffer::new(),
        path: Vec::new(),
        items: Vec::new(),
        bytes: 0,
        folders: 0,
        sequence: 0,
        linked: HashSet::new(),
        devices: Vec::new(),
    };
    if let Some(name) = walker.options.stdin.clone() {
        walker.items.push(WalkItem::Stdin(name));
        walker.push_control_files()?;
        return walker.flush();
    }
    let sources = SourceNode::from_paths(
        walker
            .options
            .sources
            .iter()
            .map(Vec::as_slice)
            .collect::<Vec<_>>(),
    );
    let ahead = Arc::clone(&walker.ahead);
    // However the walk ends, the threads end with it.
    let _closes = CloseAhead(&ahead);
    ahead.start();
    walker.walk(&sources, root)?;
    walker.push_control_files()?;
    walker.flush()
}

struct CloseAhead<'a>(&'a Ahead);

impl Drop for CloseAhead<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Walker {
    fn walk(&mut self, sources: &SourceNode, parent_root: Option<ChunkList>) -> Result<(), RunError> {
        let root = self.options.relocated(b"/").unwrap_or(b"/");
        let folder = match SourceDirectory::open(Path::new(std::ffi::OsStr::from_bytes(root))) {
            Ok(folder) => Arc::new(folder),
            Err(error) => {
                return Err(RunError::Refused(format!(
                    "failed to open the root folder: {error}"
                )));
            }
        };
        if self.options.relocated(b"/").is_some()
            && let (Ok(actual), Ok(original)) = (
                folder.stat_self(),
                SourceDirectory::open(Path::new("/")).and_then(|root| root.stat_self()),
            )
        {
            self.devices.push((actual.device, original.device));
        }
        let names = if sources.is_source {
            match folder.list(&mut self.listing) {
                Ok(listing) => Names::All(FolderAhead::new(0, listing)),
                Err(error) => {
                    return Err(RunError::Refused(format!(
                        "failed to list the root folder: {error}"
                    )));
                }
            }
        } else {
            Names::Way(sources)
        };
        let device = folder
            .stat_self()
            .ok()
            .filter(|_| sources.is_source)
            .map(|stat| self.with_own_device(stat).device);
        let parent = self
            .parent
            .as_ref()
            .zip(parent_root)
            .map(|(parent, list)| parent.folder(&list));
        let mut levels = vec![Level {
            identity: folder.identity().ok(),
            folder: Some(folder),
            depth: 0,
            names,
            position: 0,
            path_length: 0,
            shared_path: None,
            parent,
            device,
            drop_if_empty: false,
            is_new: false,
        }];
        while let Some(level) = levels.last_mut() {
            let position = level.position;
            level.position += 1;
            self.path.truncate(level.path_length);
            let mut step = match &level.names {
                Names::Way(node) => {
                    let next = node.children.iter().nth(position);
                    next.map(|(name, child)| (name.clone(), Some(child)))
                }
                Names::All(ahead) => {
                    let entry = ahead.listing().get(position);
                    entry.map(|entry| (entry.name.to_vec(), None))
                }
                Names::Chosen(names) => names.get(position).map(|name| (name.clone(), None)),
            };
            let is_cut_off = step.is_some() && self.control.is_finishing_early();
            if is_cut_off {
                self.monitor.progress.cut_off.store(1, Ordering::Relaxed);
                step = None;
            }
            match step {
                Some((name, way)) => {
                    if let Some(below) = self.visit(level, name, way)? {
                        self.descend(&mut levels, below);
                    }
                }
                None => self.leave(&mut levels, is_cut_off)?,
            }
        }
        Ok(())
    }

    /// Adds a level, and closes a folder far above when too many are open.
    fn descend<'a>(&mut self, levels: &mut Vec<Level<'a>>, below: Level<'a>) {
        levels.push(below);
        if let Some(far) = levels.len().checked_sub(WALKER_OPEN_FOLDERS_MAX) {
            // The root stays open: reopening works from below, and its own way down is by name.
            if far > 0 && levels[far].identity.is_some() {
                levels[far].folder = None;
            }
        }
    }

    /// Ends the folder on top, and opens the one above again if it was closed.
    fn leave(&mut self, levels: &mut Vec<Level<'_>>, is_cut_off: bool) -> Result<(), RunError> {
        let Some(mut level) = levels.pop() else {
            return Ok(());
        };
        self.ahead.enter(level.depth);
        if let (Some(tree), Some(folder), false) = (&self.parent, &mut level.parent, is_cut_off) {
            tree.finish(folder);
        }
        let Some(above) = levels.last_mut() else {
            return Ok(());
        };
        self.push(
            WalkItem::Leave {
                drop_if_empty: level.drop_if_empty,
            },
            0,
        )?;
        if above.folder.is_none() {
            let from_below = level
                .folder
                .as_ref()
                .zip(above.identity)
                .map(|(folder, identity)| folder.open_parent(identity));
            // It may be the descriptor that is missing.
            level.folder = None;
            let reopened = match from_below {
                Some(Ok(folder)) => Ok(folder),
                _ => self.reopen(above.path_length, above.identity),
            };
            match reopened {
                Ok(folder) => above.folder = Some(Arc::new(folder)),
                Err(error) => self.lose_rest(above, &error)?,
            }
        }
        Ok(())
    }

    /// Opens a folder of the way again by its path, when there is no way back from below.
    fn reopen(
        &self,
        path_length: usize,
        expected: Option<DirectoryIdentity>,
    ) -> Result<SourceDirectory, SourceError> {
        let path = match &self.path[..path_length] {
            b"" => b"/",
            path => path,
        };
        let place = self.options.place_of(path);
        let mut tries = REOPEN_TRIES;
        loop {
            tries -= 1;
            let opened = SourceDirectory::open_way(Path::new(std::ffi::OsStr::from_bytes(&place)))
                .and_then(|folder| Ok((folder.identity()?, folder)));
            match opened {
                Ok((identity, folder)) if Some(identity) == expected => return Ok(folder),
                Ok(_) => {
                    let moved = "the folder was moved while it was read";
                    return Err(SourceError::other(path, SourceErrorKind::Vanished, moved));
                }
                // Those who read files give descriptors back.
                Err(error)
                    if error.kind == SourceErrorKind::Io && tries > 0 && !self.control.is_tripped() =>
                {
                    std::thread::sleep(REOPEN_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What is left in a folder cannot be reached any more. The folders above it can, and are gone on with.
    fn lose_rest(&mut self, level: &mut Level<'_>, error: &SourceError) -> Result<(), RunError> {
        level.names = Names::Way(EMPTY_NODE.get_or_init(SourceNode::default));
        let path = self.path[..level.path_length].to_vec();
        self.tell_error(&path, error);
        let message = "what was left to read in this folder is not in this version, unless the version before has it and the folder still stands here";
        self.monitor
            .tell(Severity::Warning, "FolderNotReadToItsEnd", &path, message);
        let is_gone = matches!(
            error.kind,
            SourceErrorKind::Vanished | SourceErrorKind::ChangedType
        );
        if let (Some(tree), Some(parent), true) = (
            self.parent.clone(),
            &mut level.parent,
            !is_gone && self.may_keep(),
        ) {
            while let Ok(Some(known)) = tree.next(parent) {
                self.path.truncate(level.path_length);
                self.path.push(b'/');
                self.path.extend_from_slice(&known.name);
                if self.is_let_in(&known) {
                    self.keep(known, IfUnreadable::Tell)?;
                }
            }
            self.path.truncate(level.path_length);
        }
        Ok(())
    }

    /// Looks at one name; a folder to be entered comes back as a level.
    fn visit<'a>(
        &mut self,
        level: &mut Level<'_>,
        name: Vec<u8>,
        way: Option<&'a SourceNode>,
    ) -> Result<Option<Level<'a>>, RunError> {
        self.control.check()?;
        let Some(folder) = level.folder.clone() else {
            return Ok(None);
        };
        let (seen, found) = self.look_ahead(level, &folder);
        self.path.push(b'/');
        self.path.extend_from_slice(&name);
        let on_the_way = way.is_some_and(|node| !node.is_source);
        let known = match (&self.parent, &mut level.parent) {
            (Some(tree), Some(parent)) => tree.find(parent, &name),
            _ => None,
        };
        let is_new = level.is_new || (way.is_some() && !on_the_way && known.is_none());
        let looks_below = match self.look(on_the_way) {
            _ if is_new => false,
            Look::Here => false,
            Look::Below => true,
            Look::Deleted => {
                self.count_gone(known);
                return Ok(None);
            }
            Look::Nowhere => {
                if let Some(known) = known {
                    self.keep(known, IfUnreadable::Fail)?;
                }
                return Ok(None);
            }
        };
        let relocated = match way {
            Some(_) if !on_the_way => self.relocated_source(&folder, &name).transpose(),
            _ => Ok(None),
        };
        let (folder, looked_up) = match relocated {
            Ok(Some((folder, looked_up))) => (folder, Some(looked_up)),
            Ok(None) => (folder, None),
            Err(error) => {
                self.miss_source();
                let path = self.path.clone();
                self.tell_error(&path, &error);
                return Ok(None);
            }
        };
        let looked_up = looked_up.as_deref().unwrap_or(&name);
        let stat = match seen.map_or_else(|| folder.stat(looked_up), Ok) {
            // A source, or a folder above one, may be reached through a link; the path that was given is what counts.
            Ok(stat) if way.is_some() && stat.kind == EntryKind::Symlink => {
                match folder.stat_followed(looked_up) {
                    Ok(target) if target.kind == EntryKind::Directory => Ok(target),
                    _ => Ok(stat),
                }
            }
            other => other,
        };
        let stat = match stat {
            Ok(stat) => self.with_own_device(stat),
            Err(error) if way.is_some() && error.kind == SourceErrorKind::Vanished => {
                self.monitor.tell(
                    Severity::Warning,
                    "SourceMissing",
                    &self.path,
                    "the source does not exist",
                );
                self.miss_source();
                return Ok(None);
            }
            // Named as changed, and gone by now.
            Err(error) if self.options.selection.is_some() && error.kind == SourceErrorKind::Vanished => {
                self.count_gone(known);
                return Ok(None);
            }
            Err(error) => {
                if way.is_some() {
                    self.miss_source();
                }
                self.keep_unseen(known, &error, way.is_some())?;
                return Ok(None);
            }
        };
        Progress::add(&self.monitor.progress.examined_entries, 1);
        if stat.kind == EntryKind::Directory {
            return self.visit_folder(
                level,
                &folder,
                name,
                stat,
                way,
                on_the_way,
                looks_below,
                is_new,
                known,
                found,
            );
        }
        if on_the_way {
            return Ok(None);
        }
        if way.is_none() && !self.is_wanted(&name, &stat) {
            // What an earlier version has and this one leaves out is a change.
            self.count_gone(known);
            return Ok(None);
        }
        self.visit_entry(level, folder, name, stat, known)?;
        Ok(None)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the facts of one folder; a struct would only be taken apart again"
    )]
    fn visit_folder<'a>(
        &mut self,
        level: &Level<'_>,
        above: &SourceDirectory,
        name: Vec<u8>,
        stat: EntryStat,
        way: Option<&'a SourceNode>,
        on_the_way: bool,
        looks_below: bool,
        is_new: bool,
        known: Option<TreeEntry>,
        found: Option<FoundFolder>,
    ) -> Result<Option<Level<'a>>, RunError> {
        let mut drop_if_empty = on_the_way || self.options.exclude_empty_folders;
        if way.is_none() {
            if self.options.exclude_hidden && is_hidden(&name) || self.options.honour_nodump && stat.nodump {
                self.count_gone(known);
                return Ok(None);
            }
            if !self.options.filter.is_empty() {
                self.path.push(b'/');
                let decision = self.options.filter.decide(&self.path);
                self.path.pop();
                if !decision.may_enter() {
                    self.tell_excluded();
                    self.count_gone(known);
                    return Ok(None);
                }
                drop_if_empty |= !decision.is_included();
            }
        }
        if self.options.destinations.contains(&(stat.device, stat.inode)) {
            self.monitor.tell(
                Severity::Warning,
                "DestinationInSource",
                &self.path,
                "this folder is the destination of the backup and is left out; exclude it to have no warning",
            );
            return Ok(None);
        }
        let source_device = level.device;
        let identity = found.as_ref().map(FoundFolder::identity);
        let (opened, found) = match found.map(|found| FolderAhead::of_found(level.depth + 1, found)) {
            Some((folder, ahead)) => (Ok(folder), Some(ahead)),
            None => (self.open_folder(above, &name, way), None),
        };
        let mut entry = self.owners.entry(name, &stat, self.options.skip_metadata);
        let folder = match opened {
            Ok(folder) => Arc::new(folder),
            Err(error) => return self.keep_unreadable_folder(entry, known, &error, way.is_some()),
        };
        let crosses =
            self.options.one_file_system && source_device.is_some_and(|device| device != stat.device);
        let names = match way {
            Some(node) if on_the_way => Names::Way(node),
            _ if crosses => Names::Way(EMPTY_NODE.get_or_init(SourceNode::default)),
            _ if looks_below => Names::Chosen(self.chosen_names(known.as_ref())?),
            _ => {
                let listed = match found {
                    Some(found) => Ok(found),
                    None => folder
                        .list(&mut self.listing)
                        .map(|listing| FolderAhead::new(level.depth + 1, listing)),
                };
                match listed {
                    Ok(ahead) => {
                        if way.is_none() && self.options.ignore_names.found_in(ahead.listing()).is_some() {
                            self.tell_excluded();
                            return Ok(None);
                        }
                        Names::All(ahead)
                    }
                    Err(error) => return self.keep_unreadable_folder(entry, known, &error, way.is_some()),
                }
            }
        };
        let same_inode = known
            .as_ref()
            .is_some_and(|known| is_same(known, &stat, self.options.skip_metadata) && !known.no_metadata);
        match (&known, same_inode) {
            (Some(known), true) => entry.xattrs.clone_from(&known.xattrs),
            _ if self.options.skip_metadata => {}
            _ => match folder.read_own_xattrs(&mut self.xattrs) {
                Ok(set) => {
                    if way.is_none() && self.options.honour_exclusion_xattr && is_excluded_by(&set) {
                        self.tell_excluded();
                        return Ok(None);
                    }
                    entry.xattrs = xattr_pairs(set);
                }
                Err(error) => {
                    let path = self.path.clone();
                    self.monitor.tell(
                        Severity::Warning,
                        "AttributesUnreadable",
                        &path,
                        error.to_string(),
                    );
                }
            },
        }
        let progress = &self.monitor.progress;
        if !on_the_way {
            match &known {
                Some(known) if matches!(known.body, EntryBody::Directory { .. }) => {
                    if known.mtime != entry.mtime
                        || known.mode != entry.mode
                        || known.owner != entry.owner
                        || known.xattrs != entry.xattrs
                    {
                        Progress::add(&progress.modified_folders, 1);
                    }
                }
                _ => Progress::add(&progress.added_folders, 1),
            }
        }
        let parent = match (&self.parent, known.map(|known| known.body)) {
            (Some(tree), Some(EntryBody::Directory { content, .. })) => Some(tree.folder(&content)),
            _ => None,
        };
        let path_length = self.path.len();
        self.push(WalkItem::Enter(Box::new(entry)), 0)?;
        Ok(Some(Level {
            identity: identity.or_else(|| folder.identity().ok()),
            folder: Some(folder),
            depth: level.depth + 1,
            names,
            position: 0,
            path_length,
            shared_path: None,
            parent,
            device: source_device.or((!on_the_way).then_some(stat.device)),
            drop_if_empty,
            is_new,
        }))
    }

    fn open_folder(
        &self,
        above: &SourceDirectory,
        name: &[u8],
        way: Option<&SourceNode>,
    ) -> Result<SourceDirectory, SourceError> {
        let Some(node) = way else {
            return above.open_child(name);
        };
        let place = self.options.relocated(&self.path).unwrap_or(&self.path);
        let place = Path::new(std::ffi::OsStr::from_bytes(place));
        if node.is_source {
            SourceDirectory::open(place)
        } else {
            SourceDirectory::open_way(place)
        }
    }

    /// Asks for what comes next in this folder, and gives what the present name was seen to be; a folder comes open and listed.
    fn look_ahead(
        &self,
        level: &mut Level<'_>,
        folder: &Arc<SourceDirectory>,
    ) -> (Option<EntryStat>, Option<FoundFolder>) {
        let Names::All(ahead) = &mut level.names else {
            return (None, None);
        };
        // Of what is not to be looked at, nothing is asked.
        if self.options.selection.is_some() {
            return (None, None);
        }
        let position = level.position - 1;
        let above = &self.path[..level.path_length];
        ahead.ask(&self.ahead, folder, position, |name| {
            if self.options.exclude_hidden && is_hidden(name) {
                return false;
            }
            let filter = &self.options.filter;
            filter.is_empty() || filter.decide(&[above, b"/", name, b"/"].concat()).may_enter()
        });
        let found = ahead.folder(position);
        let stat = ahead.stat(position);
        (found.as_ref().map(|found| found.stat).or(stat), found)
    }

    /// A source, or a folder above one, could not be entered: what is in it is missing from this version, not deleted.
    fn miss_source(&self) {
        Progress::add(&self.monitor.progress.missing_sources, 1);
    }

    /// A folder that cannot be listed is kept as an entry, so that its owner and mode come back; its content is told as missing.
    fn keep_unreadable_folder<'a>(
        &mut self,
        entry: TreeEntry,
        known: Option<TreeEntry>,
        error: &SourceError,
        is_source: bool,
    ) -> Result<Option<Level<'a>>, RunError> {
        if is_source {
            self.miss_source();
        }
        let path = self.path.clone();
        self.tell_error(&path, error);
        if error.kind != SourceErrorKind::Vanished && error.kind != SourceErrorKind::ChangedType {
            // What cannot be looked at now may still be there, and older versions of it may go at any time.
            let known = known.filter(|known| matches!(known.body, EntryBody::Directory { .. }));
            match known.filter(|_| self.may_keep()) {
                Some(known) => {
                    self.monitor.tell(
                        Severity::Information,
                        "FolderKept",
                        &path,
                        "its content is taken over from the version before",
                    );
                    self.keep(known, IfUnreadable::Tell)?;
                }
                None => {
                    self.push(WalkItem::Enter(Box::new(entry)), 0)?;
                    self.push(WalkItem::Leave { drop_if_empty: false }, 0)?;
                }
            }
        }
        Ok(None)
    }

    /// A name that is there and cannot be looked at, as below a mount that broke, stays as the version before has it.
    fn keep_unseen(
        &mut self,
        known: Option<TreeEntry>,
        error: &SourceError,
        is_source: bool,
    ) -> Result<(), RunError> {
        let path = self.path.clone();
        self.tell_error(&path, error);
        let may_be_gone = matches!(
            error.kind,
            SourceErrorKind::Vanished | SourceErrorKind::ChangedType
        );
        match known {
            Some(known) if !may_be_gone && self.may_keep() && (is_source || self.is_let_in(&known)) => {
                let id = match known.body {
                    EntryBody::Directory { .. } => "FolderKept",
                    _ => "FileKept",
                };
                let message = "it is taken over as the version before has it";
                self.monitor.tell(Severity::Information, id, &path, message);
                self.keep(known, IfUnreadable::Tell)
            }
            known => {
                self.count_gone(known);
                Ok(())
            }
        }
    }

    /// Whether the version before is of this machine, so that what it holds may stand for what cannot be read.
    fn may_keep(&self) -> bool {
        self.parent.as_ref().is_some_and(|tree| tree.of_this_host)
    }

    fn count_gone(&self, known: Option<TreeEntry>) {
        if let Some(tree) = &self.parent {
            tree.count_gone(known);
        }
    }

    /// Whether filters and policies let a name other than a folder in.
    fn is_wanted(&mut self, name: &[u8], stat: &EntryStat) -> bool {
        let options = &self.options;
        let refused = options.exclude_hidden && is_hidden(name)
            || options.honour_nodump && stat.nodump
            || options.exclude_read_only && stat.kind == EntryKind::File && stat.is_read_only()
            || options.symlink_policy == SymlinkPolicy::Ignore && stat.kind == EntryKind::Symlink
            || options.hardlink_policy == HardlinkPolicy::None
                && stat.kind == EntryKind::File
                && stat.link_count > 1;
        if refused {
            return false;
        }
        if stat.kind == EntryKind::File && options.size_limit.is_some_and(|limit| stat.size > limit) {
            Progress::add(&self.monitor.progress.too_large_files, 1);
            return false;
        }
        if !options.filter.is_empty() && !options.filter.decide(&self.path).is_included() {
            self.tell_excluded();
            return false;
        }
        true
    }

    fn visit_entry(
        &mut self,
        level: &mut Level<'_>,
        folder: Arc<SourceDirectory>,
        name: Vec<u8>,
        mut stat: EntryStat,
        known: Option<TreeEntry>,
    ) -> Result<(), RunError> {
        let mut follow = false;
        if stat.kind == EntryKind::Symlink && self.options.symlink_policy == SymlinkPolicy::Follow {
            match folder.stat_followed(&name) {
                Ok(target) if target.kind == EntryKind::File => {
                    (stat, follow) = (self.with_own_device(target), true)
                }
                // Links to folders stay links: following them may never end.
                Ok(_) => {}
                Err(error) => {
                    let path = self.path.clone();
                    self.tell_error(&path, &error);
                    return Ok(());
                }
            }
        }
        let progress = Arc::clone(&self.monitor.progress);
        if stat.kind == EntryKind::File {
            Progress::add(&progress.examined_files, 1);
            Progress::add(&progress.examined_bytes, stat.size);
        }
        let is_known = known.is_some();
        let known = match known {
            Some(known) if self.is_unchanged(&known, &stat) => {
                if known.hard_linked && stat.kind == EntryKind::File && !follow {
                    self.linked.insert((stat.device, stat.inode));
                }
                return self.push(WalkItem::Ready(Box::new(known)), 0);
            }
            known => known,
        };
        let mut entry = self.owners.entry(name, &stat, self.options.skip_metadata);
        if stat.kind == EntryKind::File {
            if stat.link_count > 1 && !follow && !self.linked.insert((stat.device, stat.inode)) {
                if self.options.hardlink_policy == HardlinkPolicy::First {
                    return Ok(());
                }
                if let Ok(set) = folder.read_xattrs(&entry.name, &mut self.xattrs) {
                    entry.xattrs = xattr_pairs(set);
                }
                Progress::add(
                    if is_known {
                        &progress.modified_files
                    } else {
                        &progress.added_files
                    },
                    1,
                );
                return self.push(WalkItem::Link(Box::new(entry)), 0);
            }
            if let Some(skip) = &self.skip
                && skip.fill(&self.path, &mut entry, stat.size)
            {
                return self.push(WalkItem::Ready(Box::new(entry)), 0);
            }
            let path_length = level.path_length;
            let folder_path = level
                .shared_path
                .get_or_insert_with(|| Arc::from(&self.path[..path_length]))
                .clone();
            let size = stat.size;
            let task = FileTask {
                folder,
                folder_path,
                name: entry.name,
                stat,
                known: is_known,
                kept: known.filter(|_| self.may_keep()).map(Box::new),
                follow,
            };
            return self.push(WalkItem::File(task), size);
        }
        if let EntryBody::Symlink { target } = &mut entry.body {
            match folder.read_link(&entry.name) {
                Ok(text) => *target = text,
                Err(error) => {
                    let path = self.path.clone();
                    self.tell_error(&path, &error);
                    return Ok(());
                }
            }
            Progress::add(
                if is_known {
                    &progress.modified_symlinks
                } else {
                    &progress.added_symlinks
                },
                1,
            );
        } else {
            Progress::add(
                if is_known {
                    &progress.modified_files
                } else {
                    &progress.added_files
                },
                1,
            );
        }
        if !self.options.skip_metadata
            && let Ok(set) = folder.read_xattrs(&entry.name, &mut self.xattrs)
        {
            entry.xattrs = xattr_pairs(set);
        }
        self.push(WalkItem::Ready(Box::new(entry)), 0)
    }

    /// Whether the parent's entry says all there is to say, and its chunks may be used again.
    fn is_unchanged(&self, known: &TreeEntry, stat: &EntryStat) -> bool {
        let skips_metadata = self.options.skip_metadata;
        let same = match self.options.change_detection {
            ChangeDetection::Full => is_same(known, stat, skips_metadata),
            ChangeDetection::TimeOnly => {
                is_written_at(known, stat)
                    && stat.kind.is_kind_of(&known.body)
                    && known.no_metadata == skips_metadata
            }
            ChangeDetection::None => stat.kind != EntryKind::File && is_same(known, stat, skips_metadata),
        };
        same && match (&known.body, &self.parent) {
            (EntryBody::File { content, .. }, Some(tree)) => tree.is_whole(content),
            (EntryBody::File { .. }, None) => false,
            _ => true,
        }
    }

    pub(super) fn push(&mut self, item: WalkItem, bytes: u64) -> Result<(), RunError> {
        if let WalkItem::File(_) = item {
            if bytes > BATCH_BYTES_MAX && !self.items.is_empty() {
                self.flush()?;
            }
            self.bytes += bytes;
        }
        if let WalkItem::Enter(_) = item {
            self.folders += 1;
        }
        self.items.push(item);
        if self.items.len() >= BATCH_ENTRIES_MAX
            || self.bytes >= BATCH_BYTES_MAX
            || self.folders >= BATCH_FOLDERS_MAX
        {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RunError> {
        if self.items.is_empty() {
            return Ok(());
        }
        let window = self.window.acquire(1)?;
        self.monitor.progress.set_current(&self.path);
        let batch = WalkBatch {
            sequence: self.sequence,
            items: std::mem::take(&mut self.items),
            bytes: self.bytes,
            window,
        };
        self.sequence += 1;
        (self.bytes, self.folders) = (0, 0);
        self.chunker.send_blocking(batch)
    }

    pub(super) fn tell_error(&self, path: &[u8], error: &SourceError) {
        Progress::add(&self.monitor.progress.files_with_error, 1);
        let id = match error.kind {
            SourceErrorKind::Vanished => "FileVanished",
            SourceErrorKind::ChangedType => "FileChangedType",
            _ => "FileUnreadable",
        };
        self.monitor.tell(Severity::Warning, id, path, error.to_string());
    }

    fn tell_excluded(&self) {
        self.monitor
            .tell(Severity::Verbose, "Excluded", &self.path, "excluded");
    }
}

static EMPTY_NODE: std::sync::OnceLock<SourceNode> = std::sync::OnceLock::new();

/// Same inode with the same times: nothing about it changed, for every change of content or metadata moves ctime.
fn is_same(known: &TreeEntry, stat: &EntryStat, skips_metadata: bool) -> bool {
    let same_size = match &known.body {
        EntryBody::File { size, .. } => *size == stat.size,
        _ => true,
    };
    same_size
        && stat.kind.is_kind_of(&known.body)
        && is_written_at(known, stat)
        && known.ctime.seconds == stat.ctime_seconds
        && known.ctime.nanoseconds == stat.ctime_nanoseconds
        && known.inode == stat.inode
        && known.device == stat.device
        && known.no_metadata == skips_metadata
}

fn is_written_at(known: &TreeEntry, stat: &EntryStat) -> bool {
    known.mtime.seconds == stat.mtime_seconds && known.mtime.nanoseconds == stat.mtime_nanoseconds
}
