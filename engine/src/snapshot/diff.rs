// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What changed between two snapshots: both trees in step, equal subtrees passed over without reading them.

use super::{DirectoryReader, TreeReader};
use crate::{
    format::{
        chunk_list::ChunkList,
        tree::{EntryBody, TreeEntry},
    },
    repository::RepositoryError,
};

/// One difference. Entries below a folder that is new or gone follow one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only in the second.
    Added(TreeEntry),
    /// Only in the first.
    Deleted(TreeEntry),
    /// In both, with other content, or other metadata only.
    Modified {
        /// As in the first.
        before: TreeEntry,
        /// As in the second.
        after: TreeEntry,
        /// Whether the content differs; for a folder, never.
        content: bool,
    },
}

struct Side {
    directory: Option<DirectoryReader>,
    next: Option<TreeEntry>,
}

impl Side {
    fn new(reader: &TreeReader, content: Option<&ChunkList>) -> Self {
        Self {
            directory: content.map(|content| reader.directory(content)),
            next: None,
        }
    }

    async fn fill(&mut self) -> Result<(), RepositoryError> {
        if self.next.is_none()
            && let Some(directory) = &mut self.directory
        {
            self.next = directory.next().await?;
        }
        Ok(())
    }
}

struct Level {
    sides: [Side; 2],
    path_length: usize,
}

/// Yields the differences in the order of paths; holds two directories for each level.
pub struct TreeDiff {
    readers: [TreeReader; 2],
    levels: Vec<Level>,
    path: Vec<u8>,
    descend: Option<[Option<ChunkList>; 2]>,
}

impl TreeDiff {
    /// Compares two trees, which may need readers over different indexes.
    pub fn new(readers: [TreeReader; 2], roots: [&ChunkList; 2]) -> Self {
        let descend = (roots[0] != roots[1]).then(|| roots.map(|root| Some(root.clone())));
        Self {
            readers,
            levels: Vec::new(),
            path: Vec::new(),
            descend,
        }
    }

    /// Path of the last difference: names joined by `/`.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The next difference; none at the end.
    ///
    /// # Errors
    /// When a directory of either tree cannot be read; [`path`](Self::path) is its own, and the next call goes on behind it.
    pub async fn next(&mut self) -> Result<Option<Change>, RepositoryError> {
        loop {
            if let Some([first, second]) = self.descend.take() {
                self.levels.push(Level {
                    sides: [
                        Side::new(&self.readers[0], first.as_ref()),
                        Side::new(&self.readers[1], second.as_ref()),
                    ],
                    path_length: self.path.len(),
                });
            }
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            self.path.truncate(level.path_length);
            for side in &mut level.sides {
                if let Err(error) = side.fill().await {
                    // Going on with one side alone would call the rest of the other a change.
                    self.levels.pop();
                    return Err(error);
                }
            }
            let [first, second] = &mut level.sides;
            let order = match (&first.next, &second.next) {
                (None, None) => {
                    self.levels.pop();
                    continue;
                }
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(before), Some(after)) => before.name.cmp(&after.name),
            };
            let before = if order.is_le() { first.next.take() } else { None };
            let after = if order.is_ge() { second.next.take() } else { None };
            if let Some(change) = self.compare(before, after) {
                return Ok(Some(change));
            }
        }
    }

    fn compare(&mut self, before: Option<TreeEntry>, after: Option<TreeEntry>) -> Option<Change> {
        let name = &before.as_ref().or(after.as_ref())?.name;
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        let folders = [before.as_ref(), after.as_ref()].map(folder_content);
        if folders[0] != folders[1] {
            self.descend = Some(folders.map(|content| content.cloned()));
        }
        match (before, after) {
            (None, None) => None,
            (Some(before), None) => Some(Change::Deleted(before)),
            (None, Some(after)) => Some(Change::Added(after)),
            (Some(before), Some(after)) => {
                let content = has_other_content(&before, &after);
                (content || has_other_metadata(&before, &after)).then_some(Change::Modified {
                    before,
                    after,
                    content,
                })
            }
        }
    }
}

fn folder_content(entry: Option<&TreeEntry>) -> Option<&ChunkList> {
    match entry.map(|entry| &entry.body) {
        Some(EntryBody::Directory { content, .. }) => Some(content),
        _ => None,
    }
}

fn has_other_content(before: &TreeEntry, after: &TreeEntry) -> bool {
    match (&before.body, &after.body) {
        // What changed below is told below.
        (EntryBody::Directory { .. }, EntryBody::Directory { .. }) => false,
        (one, other) => one != other,
    }
}

/// Inode, device and ctime are left out: they differ after a restore, and mean nothing to the user.
fn has_other_metadata(before: &TreeEntry, after: &TreeEntry) -> bool {
    before.mode != after.mode
        || before.owner != after.owner
        || before.mtime != after.mtime
        || before.xattrs != after.xattrs
}
