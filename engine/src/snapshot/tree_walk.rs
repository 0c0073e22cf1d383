// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Walks a snapshot's tree depth first, at any depth, in little memory.

use super::{DirectoryReader, TreeReader};
use crate::{
    format::{
        chunk_list::ChunkList,
        tree::{EntryBody, TreeEntry},
    },
    repository::RepositoryError,
};

/// Directories on the present path that keep their decoded chunk; those further up read it again.
const LEVELS_DECODED_MAX: usize = 32;

/// What a walk meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalkStep {
    /// An entry; what is below a directory follows unless [`TreeWalk::skip`] is called.
    Entry(TreeEntry),
    /// The end of a directory that was entered.
    Leave(TreeEntry),
}

struct Level {
    entry: Option<TreeEntry>,
    directory: DirectoryReader,
    /// Length of the directory's own path.
    path_length: usize,
}

/// A walk through a tree. After an error it goes on behind the directory that cannot be read, whose path it shows.
pub struct TreeWalk {
    reader: TreeReader,
    levels: Vec<Level>,
    path: Vec<u8>,
    descend: Option<(TreeEntry, ChunkList)>,
}

impl TreeReader {
    /// Walks everything below a root.
    pub fn walk(&self, root: &ChunkList) -> TreeWalk {
        TreeWalk {
            reader: self.clone(),
            levels: vec![Level {
                entry: None,
                directory: self.directory(root),
                path_length: 0,
            }],
            path: Vec::new(),
            descend: None,
        }
    }
}

impl TreeWalk {
    /// Path of what [`next`](Self::next) returned last: names joined by `/`, without one in front.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Directories between the root and the last entry.
    pub fn depth(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }

    /// Does not enter the directory returned last; then there is no [`WalkStep::Leave`] for it either.
    pub fn skip(&mut self) {
        self.descend = None;
    }

    /// The next step; none at the end.
    ///
    /// # Errors
    /// When a directory cannot be read (further). [`path`](Self::path) is that directory's; its `Leave` follows.
    pub async fn next(&mut self) -> Result<Option<WalkStep>, RepositoryError> {
        if let Some((entry, content)) = self.descend.take() {
            if self.levels.len() >= LEVELS_DECODED_MAX {
                let waiting = self.levels.len() - LEVELS_DECODED_MAX;
                self.levels[waiting].directory.release();
            }
            self.levels.push(Level {
                directory: self.reader.directory(&content),
                entry: Some(entry),
                path_length: self.path.len(),
            });
        }
        let Some(level) = self.levels.last_mut() else {
            return Ok(None);
        };
        self.path.truncate(level.path_length);
        match level.directory.next().await? {
            Some(entry) => {
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(&entry.name);
                if let EntryBody::Directory { content, .. } = &entry.body {
                    self.descend = Some((entry.clone(), content.clone()));
                }
                Ok(Some(WalkStep::Entry(entry)))
            }
            None => {
                let left = self.levels.pop().and_then(|level| level.entry);
                Ok(left.map(WalkStep::Leave))
            }
        }
    }
}
