// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Walks a tree and builds it again without what is unwanted.
//!
//! A directory in which nothing is unwanted keeps its chunks. A damaged tree chunk costs its own entries and no others: the walk goes on with the next one.

use std::collections::HashMap;

use duplicati_engine::{
    format::{
        chunk_list::ChunkList,
        manifest::Totals,
        pack::PackClass,
        tree::{EntryBody, TreeChunkReader, TreeChunkWriter, TreeEntry},
    },
    id::ChunkId,
    repository::RepositoryError,
    snapshot::{LeafReader, TreeReader},
};
use serde::Serialize;

use super::tree_packs::TreePacks;
use crate::{control::RunControl, error::RunError, verify::loses};

/// Directories whose outcome is kept for the next snapshot.
const REMEMBERED_MAX: usize = 1 << 16;

/// What goes.
#[derive(Clone, Copy)]
pub enum Unwanted<'a> {
    /// Entries at these absolute paths; a folder's ends with `/`, and it goes only when nothing below it stays.
    Matching(&'a (dyn Fn(&[u8]) -> bool + Sync)),
    /// Files that need a lost chunk, and whatever stands in tree chunks that cannot be read.
    Lost(&'a (dyn Fn(&ChunkId) -> bool + Sync)),
}

/// How much goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Folders.
    pub folders: u64,
    /// Links and everything else.
    pub others: u64,
    /// Pieces of folders that cannot be read: what was in them is not known.
    pub unreadable: u64,
}

impl Removed {
    fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.folders += other.folders;
        self.others += other.others;
        self.unreadable += other.unreadable;
    }

    /// Whether nothing goes.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of a directory.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Its new stream; the old one where nothing went, or where nothing is written.
    pub content: ChunkList,
    /// What stays below it.
    pub kept: Totals,
    /// What went.
    pub removed: Removed,
}

struct Level {
    entry: Option<TreeEntry>,
    key: [u8; 32],
    old: ChunkList,
    leaves: LeafReader,
    entries: std::vec::IntoIter<TreeEntry>,
    path_length: usize,
    writer: TreeChunkWriter,
    ids: Vec<ChunkId>,
    kept: Totals,
    removed: Removed,
}

/// Rewrites trees; remembers directories that snapshots share.
pub struct TreeRewriter<'a> {
    reader: TreeReader,
    unwanted: Unwanted<'a>,
    control: &'a RunControl,
    remembered: HashMap<[u8; 32], Outcome>,
}

impl<'a> TreeRewriter<'a> {
    /// A rewriter that has seen nothing yet.
    pub fn new(reader: TreeReader, unwanted: Unwanted<'a>, control: &'a RunControl) -> Self {
        Self {
            reader,
            unwanted,
            control,
            remembered: HashMap::new(),
        }
    }

    /// Rewrites one tree; without `out` it only finds out what would go. `each` hears the path of whatever goes.
    pub async fn rewrite(
        &mut self,
        root: &ChunkList,
        mut out: Option<&mut TreePacks<'_>>,
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Outcome, RunError> {
        let mut path = Vec::new();
        let mut levels = vec![self.level(None, root, &path)];
        while let Some(level) = levels.last_mut() {
            self.control.check()?;
            path.truncate(level.path_length);
            if let Some(entry) = self.next_entry(level, &path, each).await? {
                path.push(b'/');
                path.extend_from_slice(&entry.name);
                if let EntryBody::Directory { content, .. } = &entry.body {
                    match self.remembered.get(&key(&path, content)) {
                        Some(outcome) => {
                            self.take_folder(level, entry, outcome.clone(), &mut path, &mut out, each)?
                        }
                        None => {
                            let content = content.clone();
                            levels.push(self.level(Some(entry), &content, &path));
                        }
                    }
                } else if self.is_unwanted(&path, &entry).await? {
                    each(&path);
                    match &entry.body {
                        EntryBody::File { size, .. } => {
                            level.removed.files += 1;
                            level.removed.bytes += size;
                        }
                        _ => level.removed.others += 1,
                    }
                } else {
                    match &entry.body {
                        EntryBody::File { size, .. } => {
                            level.kept.files += 1;
                            level.kept.bytes += size;
                        }
                        _ => level.kept.others += 1,
                    }
                    keep(level, &entry, &mut out)?;
                }
            } else if let Some(mut level) = levels.pop() {
                let outcome = finish(&mut level, &mut out)?;
                if let Some(out) = &mut out {
                    out.upload().await?;
                }
                let (Some(entry), Some(above)) = (level.entry, levels.last_mut()) else {
                    return Ok(outcome);
                };
                if self.remembered.len() < REMEMBERED_MAX {
                    self.remembered.insert(level.key, outcome.clone());
                }
                self.take_folder(above, entry, outcome, &mut path, &mut out, each)?;
            }
        }
        Ok(Outcome::default())
    }

    fn level(&self, entry: Option<TreeEntry>, content: &ChunkList, path: &[u8]) -> Level {
        Level {
            entry,
            key: key(path, content),
            old: content.clone(),
            leaves: self.reader.leaves(content),
            entries: Vec::new().into_iter(),
            path_length: path.len(),
            writer: TreeChunkWriter::new(),
            ids: Vec::new(),
            kept: Totals::default(),
            removed: Removed::default(),
        }
    }

    async fn next_entry(
        &self,
        level: &mut Level,
        path: &[u8],
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Option<TreeEntry>, RunError> {
        loop {
            if let Some(entry) = level.entries.next() {
                return Ok(Some(entry));
            }
            let read = match level.leaves.next().await {
                Ok(None) => return Ok(None),
                Ok(Some(id)) => self.read_chunk(&id).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(entries) => level.entries = entries.into_iter(),
                Err(error) if error.is_damage() && matches!(self.unwanted, Unwanted::Lost(_)) => {
                    level.removed.unreadable += 1;
                    let mut folder = path.to_vec();
                    folder.push(b'/');
                    each(&folder);
                }
                // What stands there is not known, so a filter cannot decide about it.
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read_chunk(&self, id: &ChunkId) -> Result<Vec<TreeEntry>, RepositoryError> {
        let content = self.reader.chunk(PackClass::Tree, id).await?;
        TreeChunkReader::new(&content)
            .and_then(Iterator::collect)
            .map_err(|source| RepositoryError::Object {
                object: format!("tree chunk {id}"),
                location: self.reader.frames().repository().store.location(),
                source: source.into(),
            })
    }

    async fn is_unwanted(&self, path: &[u8], entry: &TreeEntry) -> Result<bool, RunError> {
        match (self.unwanted, &entry.body) {
            (Unwanted::Matching(matches), _) => Ok(matches(path)),
            (Unwanted::Lost(is_lost), EntryBody::File { content, .. }) => {
                loses(&self.reader, content, is_lost).await
            }
            (Unwanted::Lost(_), _) => Ok(false),
        }
    }

    /// Puts a finished folder into the one above, unless it goes as well.
    fn take_folder(
        &self,
        above: &mut Level,
        mut entry: TreeEntry,
        outcome: Outcome,
        path: &mut Vec<u8>,
        out: &mut Option<&mut TreePacks<'_>>,
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), RunError> {
        path.push(b'/');
        let goes = outcome.kept.entries == 0
            && matches!(self.unwanted, Unwanted::Matching(matches) if matches(path));
        above.removed.add(&outcome.removed);
        if goes {
            each(path);
            above.removed.folders += 1;
            return Ok(());
        }
        above.kept.files += outcome.kept.files;
        above.kept.bytes += outcome.kept.bytes;
        above.kept.others += outcome.kept.others;
        above.kept.directories += outcome.kept.directories + 1;
        above.kept.entries += outcome.kept.entries;
        if !outcome.removed.is_nothing() {
            entry.body = EntryBody::Directory {
                content: outcome.content,
                entries_below: outcome.kept.entries,
                bytes_below: outcome.kept.bytes,
            };
        }
        keep(above, &entry, out)
    }
}

fn keep(level: &mut Level, entry: &TreeEntry, out: &mut Option<&mut TreePacks<'_>>) -> Result<(), RunError> {
    level.kept.entries += 1;
    let Some(out) = out else { return Ok(()) };
    level.writer.push(entry);
    if level.writer.should_cut() {
        // A directory that turns out to be unchanged costs nothing here: the same entries are cut to chunks that are there already.
        level.ids.push(out.store(&level.writer.take())?);
    }
    Ok(())
}

fn finish(level: &mut Level, out: &mut Option<&mut TreePacks<'_>>) -> Result<Outcome, RunError> {
    let content = match out {
        Some(out) if !level.removed.is_nothing() => {
            if !level.writer.is_empty() {
                level.ids.push(out.store(&level.writer.take())?);
            }
            out.store_list(std::mem::take(&mut level.ids))?
        }
        _ => std::mem::take(&mut level.old),
    };
    Ok(Outcome {
        content,
        kept: level.kept,
        removed: level.removed,
    })
}

/// The same directory at the same path meets the same decisions.
fn key(path: &[u8], content: &ChunkList) -> [u8; 32] {
    let mut encoded = Vec::new();
    content.encode(&mut encoded);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(path.len() as u64).to_le_bytes());
    hasher.update(path);
    hasher.update(&encoded);
    *hasher.finalize().as_bytes()
}
