// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts batches back into the walker's order and builds the tree.
//!
//! In: `BuiltBatch` from the chunkers, in any order. Out: tree chunks in frames to the sealers; the root, once, to the committer. Waits for the batch that is
//! next; the window bounds how many others pile up meanwhile.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    format::{
        chunk_list::ChunkList,
        manifest::{ControlFile, Totals},
        pack::PackClass,
        tree::{EntryBody, TreeChunkWriter, TreeEntry},
    },
    id::ChunkId,
    index::ChunkSet,
    repository::Repository,
};
use tokio::sync::oneshot;

use super::{
    batches::{BuiltBatch, BuiltItem, BuiltTree},
    frame_filler::{FrameFiller, FrameKind},
    list_writer::ListWriter,
};
use crate::{
    error::RunError,
    events::{Monitor, Progress, Severity},
    inlet::Outlet,
};

/// Name of the stage.
pub const NAME: &str = "tree-builder";

/// What the tree builder works with.
pub struct TreeBuilder {
    /// Names tree chunks.
    pub repository: Arc<Repository>,
    /// Chunks that need not be stored.
    pub known: Arc<ChunkSet>,
    /// Batches to put in order.
    pub batches: Outlet<BuiltBatch>,
    /// Frames of tree chunks.
    pub frames: FrameFiller,
    /// Hears the root.
    pub done: oneshot::Sender<BuiltTree>,
    /// The parent's control files when the tree of a source that did not change is to be thrown away instead of stored.
    pub discard_if_unchanged: Option<Vec<ControlFile>>,
    /// Counters.
    pub monitor: Monitor,
}

/// Files with several names that have passed, by device and inode.
#[derive(Default)]
struct Linked {
    /// The first name of each, without the name.
    first: HashMap<(u64, u64), TreeEntry>,
    left_out: HashSet<(u64, u64)>,
}

#[derive(Default)]
struct Level {
    writer: TreeChunkWriter,
    ids: Vec<ChunkId>,
    entry: Option<Box<TreeEntry>>,
    entries: u64,
    bytes: u64,
}

impl TreeBuilder {
    /// Works until the stream ends.
    pub fn run(mut self) -> Result<(), RunError> {
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        let mut levels = vec![Level::default()];
        let mut totals = Totals::default();
        let mut linked = Linked::default();
        let mut control_files = Vec::new();
        while let Some(batch) = self.batches.receive_blocking()? {
            waiting.insert(batch.sequence, batch);
            while let Some(BuiltBatch { items, window, .. }) = waiting.remove(&next) {
                for item in items {
                    if let BuiltItem::ControlFile(file) = item {
                        control_files.push(file);
                        continue;
                    }
                    self.take(item, &mut levels, &mut totals, &mut linked)?;
                }
                drop(window);
                next += 1;
            }
        }
        if !waiting.is_empty() || levels.len() != 1 {
            let message = format!(
                "{} batches are left over at depth {}",
                waiting.len(),
                levels.len()
            );
            return Err(RunError::Check { stage: NAME, message });
        }
        let level = levels.pop().unwrap_or_default();
        let (root, _, _) = self.finish(level)?;
        // All counters are final here: every batch has passed. Only folders above the sources can differ, which is no reason for a pack.
        let unchanged = self.discard_if_unchanged.as_ref() == Some(&control_files)
            && self.monitor.progress.snapshot().is_unchanged();
        if unchanged {
            self.frames.discard();
        } else {
            self.frames.flush()?;
        }
        self.done
            .send(BuiltTree {
                root,
                totals,
                control_files,
                unchanged,
            })
            .map_err(|_| RunError::Interrupted)
    }

    fn take(
        &mut self,
        item: BuiltItem,
        levels: &mut Vec<Level>,
        totals: &mut Totals,
        linked: &mut Linked,
    ) -> Result<(), RunError> {
        match item {
            BuiltItem::Enter(entry) => levels.push(Level {
                entry: Some(entry),
                ..Level::default()
            }),
            BuiltItem::Entry(entry) => {
                if entry.hard_linked && matches!(entry.body, EntryBody::File { .. }) {
                    linked
                        .first
                        .entry((entry.device, entry.inode))
                        .or_insert_with(|| TreeEntry {
                            name: Vec::new(),
                            ..(*entry).clone()
                        });
                }
                self.push(*entry, levels, totals)?;
            }
            BuiltItem::Link(mut entry) => {
                let inode = (entry.device, entry.inode);
                if let Some(first) = linked.first.get(&inode) {
                    // Times and attributes with the content: those of a later look at the file would say that this content is newer than it is, and no
                    // later run would read it again.
                    *entry = TreeEntry {
                        name: std::mem::take(&mut entry.name),
                        ..first.clone()
                    };
                    self.push(*entry, levels, totals)?;
                } else if !linked.left_out.contains(&inode) {
                    self.tell_lost_link(&entry, levels);
                }
            }
            BuiltItem::LeftOut(device, inode) => {
                linked.left_out.insert((device, inode));
            }
            // Kept by whoever called.
            BuiltItem::ControlFile(_) => {}
            BuiltItem::Leave { drop_if_empty } => {
                let mut level = levels.pop().unwrap_or_default();
                let Some(mut entry) = level.entry.take() else {
                    let message = "a folder ends that never began".to_owned();
                    return Err(RunError::Check { stage: NAME, message });
                };
                if drop_if_empty && level.entries == 0 {
                    return Ok(());
                }
                let (content, entries_below, bytes_below) = self.finish(level)?;
                entry.body = EntryBody::Directory {
                    content,
                    entries_below,
                    bytes_below,
                };
                self.push(*entry, levels, totals)?;
            }
        }
        Ok(())
    }

    /// The name under which the file was to be read vanished or could not be read; this one may be whole, so it must not be missed in silence.
    fn tell_lost_link(&self, entry: &TreeEntry, levels: &[Level]) {
        let mut path = Vec::new();
        let folders = levels.iter().filter_map(|level| level.entry.as_deref());
        for name in folders.map(|folder| &folder.name).chain([&entry.name]) {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        Progress::add(&self.monitor.progress.files_with_error, 1);
        self.monitor.tell(
            Severity::Warning,
            "HardLinkUnread",
            &path,
            "it was not read, because another name of the same file was taken first and that one vanished or could not be read; back up again",
        );
    }

    fn push(&mut self, entry: TreeEntry, levels: &mut [Level], totals: &mut Totals) -> Result<(), RunError> {
        let level = levels.last_mut().ok_or(RunError::Interrupted)?;
        totals.entries += 1;
        level.entries += 1;
        match &entry.body {
            EntryBody::File { size, .. } => {
                totals.files += 1;
                totals.bytes += size;
                level.bytes += size;
            }
            EntryBody::Directory {
                entries_below,
                bytes_below,
                ..
            } => {
                totals.directories += 1;
                level.entries += entries_below;
                level.bytes += bytes_below;
            }
            _ => totals.others += 1,
        }
        level.writer.push(&entry);
        if level.writer.should_cut() {
            let content = level.writer.take();
            let id = store_tree_chunk(&content, &self.repository, &self.known, &mut self.frames)?;
            level.ids.push(id);
        }
        Ok(())
    }

    fn finish(&mut self, mut level: Level) -> Result<(ChunkList, u64, u64), RunError> {
        if !level.writer.is_empty() {
            let content = level.writer.take();
            let id = store_tree_chunk(&content, &self.repository, &self.known, &mut self.frames)?;
            level.ids.push(id);
        }
        let list = list_with(level.ids, |content| {
            store_tree_chunk(content, &self.repository, &self.known, &mut self.frames)
        })?;
        Ok((list, level.entries, level.bytes))
    }
}

/// Stores a chunk of a tree or list, if it is new.
pub(crate) fn store_tree_chunk(
    content: &[u8],
    repository: &Repository,
    known: &ChunkSet,
    frames: &mut FrameFiller,
) -> Result<ChunkId, RunError> {
    let id = repository.hasher.id(PackClass::Tree, content);
    if known.insert(&id) {
        frames.add(FrameKind::Tree, id, content)?;
    }
    Ok(id)
}

/// Makes the list of chunks that are all at hand.
pub(crate) fn list_with(
    ids: Vec<ChunkId>,
    mut store: impl FnMut(&[u8]) -> Result<ChunkId, RunError>,
) -> Result<ChunkList, RunError> {
    let mut writer = ListWriter::default();
    for id in ids {
        writer.push(id, &mut store)?;
    }
    writer.finish(&mut store)
}
