// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Visits every chunk that trees need, each tree chunk once however many snapshots share it.
//!
//! A tree chunk is a whole piece of a directory (section 8.1), so an unchanged directory is recognised by its chunks and costs a table look-up.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use crate::{
    format::{
        FormatError,
        chunk_list::{ChunkList, DEPTH_MAX, decode_list_chunk},
        pack::PackClass,
        tree::{EntryBody, TreeChunkReader},
    },
    id::ChunkId,
    index::{ChunkIndex, chunk_index::FrameOrdinal, id_table::IdTable},
    repository::{FrameReader, RepositoryError},
    storage::ObjectName,
};

/// Tree chunks taken from the stack at once: enough to read neighbouring ones together, few enough to stay depth first and small.
const BATCH_ITEMS: usize = 256;
/// Frames read at once.
const FRAMES_AT_ONCE: usize = 8;

/// What a scan meets.
pub enum Referenced<'a> {
    /// A chunk is needed. Told once for each place that names it in a tree chunk seen for the first time.
    Chunk(PackClass, &'a ChunkId),
    /// A tree chunk cannot be read, so what is below it is not known.
    Unreadable(&'a ChunkId, RepositoryError),
}

/// What a tree chunk is read as. The same bytes could stand for two things, so each role is visited on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Entries of a directory.
    Directory,
    /// A list of `depth` whose leaves are pieces of a directory.
    DirectoryList(u8),
    /// A list of `depth` whose leaves are file content.
    FileList(u8),
}

impl Role {
    fn number(self) -> u8 {
        match self {
            Self::Directory => 1,
            Self::DirectoryList(depth) => 16 + depth,
            Self::FileList(depth) => 32 + depth,
        }
    }
}

/// A scan over any number of trees.
#[derive(Default)]
pub struct TreeScan {
    visited: IdTable<()>,
    pending: Vec<(ChunkId, Role)>,
}

impl TreeScan {
    /// Nothing visited yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tree chunks visited so far.
    pub fn visited_count(&self) -> usize {
        self.visited.len()
    }

    /// Adds a directory's stream.
    pub fn add_directory(&mut self, list: &ChunkList, each: &mut impl FnMut(Referenced<'_>)) {
        for id in &list.ids {
            each(Referenced::Chunk(PackClass::Tree, id));
            let role = match list.depth {
                0 => Role::Directory,
                depth => Role::DirectoryList(depth - 1),
            };
            self.push(id, role);
        }
    }

    /// Adds the content of a file.
    pub fn add_file(&mut self, list: &ChunkList, each: &mut impl FnMut(Referenced<'_>)) {
        for id in &list.ids {
            match list.depth {
                0 => each(Referenced::Chunk(PackClass::Data, id)),
                depth => {
                    each(Referenced::Chunk(PackClass::Tree, id));
                    self.push(id, Role::FileList(depth - 1));
                }
            }
        }
    }

    fn push(&mut self, id: &ChunkId, role: Role) {
        let mut key = id.prefix();
        key[15] ^= role.number();
        if self.visited.insert(&key, ()) {
            self.pending.push((*id, role));
        }
    }

    /// Reads everything that was added and what it leads to.
    ///
    /// # Errors
    /// When the target does not answer. Damage goes to `each`.
    pub async fn run(
        &mut self,
        frames: &FrameReader,
        each: &mut impl FnMut(Referenced<'_>),
    ) -> Result<(), RepositoryError> {
        while !self.pending.is_empty() {
            let start = self.pending.len().saturating_sub(BATCH_ITEMS);
            let batch = self.pending.split_off(start);
            let mut by_frame: BTreeMap<FrameOrdinal, Vec<(ChunkId, Role)>> = BTreeMap::new();
            for (id, role) in batch {
                match frames.index().find(&id) {
                    Some(place) => by_frame.entry(place.frame).or_default().push((id, role)),
                    None => each(Referenced::Unreadable(
                        &id,
                        RepositoryError::MissingChunk { id: id.to_string() },
                    )),
                }
            }
            let mut read = stream::iter(
                by_frame
                    .into_iter()
                    .map(|(frame, items)| async move { (items, frames.read_frame(frame).await, frame) }),
            )
            .buffer_unordered(FRAMES_AT_ONCE);
            while let Some((items, content, frame)) = read.next().await {
                let content = match content {
                    Ok(content) => content,
                    Err(error) if !error.is_damage() => return Err(error),
                    Err(error) => {
                        let text = error.to_string();
                        let mut first = Some(error);
                        for (id, _) in &items {
                            let error = first.take().unwrap_or_else(|| {
                                problem(frames, id, FormatError::damaged("tree chunk", text.clone()))
                            });
                            each(Referenced::Unreadable(id, error));
                        }
                        continue;
                    }
                };
                for (id, role) in &items {
                    let piece = place_in(frames.index(), id).and_then(|range| content.get(range));
                    let result = frames.check(PackClass::Tree, id, frame, piece).and_then(|()| {
                        self.read(id, *role, piece.unwrap_or_default(), each)
                            .map_err(|error| problem(frames, id, error))
                    });
                    if let Err(error) = result {
                        each(Referenced::Unreadable(id, error));
                    }
                }
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        id: &ChunkId,
        role: Role,
        content: &[u8],
        each: &mut impl FnMut(Referenced<'_>),
    ) -> Result<(), FormatError> {
        let (depth, is_file) = match role {
            Role::Directory => {
                for entry in TreeChunkReader::new(content)? {
                    match entry?.body {
                        EntryBody::File { content, .. } => self.add_file(&content, each),
                        EntryBody::Directory { content, .. } => self.add_directory(&content, each),
                        _ => {}
                    }
                }
                return Ok(());
            }
            Role::DirectoryList(depth) => (depth, false),
            Role::FileList(depth) => (depth, true),
        };
        if depth >= DEPTH_MAX {
            return Err(FormatError::damaged(
                "list chunk",
                format!("{id} is nested too deep"),
            ));
        }
        let list = ChunkList {
            depth,
            ids: decode_list_chunk(content)?,
        };
        if is_file {
            self.add_file(&list, each);
        } else {
            self.add_directory(&list, each);
        }
        Ok(())
    }
}

fn place_in(index: &ChunkIndex, id: &ChunkId) -> Option<std::ops::Range<usize>> {
    index
        .find(id)
        .map(|place| place.offset as usize..place.offset as usize + place.length as usize)
}

fn problem(frames: &FrameReader, id: &ChunkId, source: FormatError) -> RepositoryError {
    match frames.index().find(id) {
        Some(place) => {
            let name = ObjectName::from(frames.index().frame(place.frame).pack);
            RepositoryError::object(&name, frames.repository().store.location(), source)
        }
        None => RepositoryError::MissingChunk { id: id.to_string() },
    }
}
