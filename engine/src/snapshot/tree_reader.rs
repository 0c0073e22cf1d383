// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads chunk lists and directory streams (section 8), a piece at a time.

use std::sync::Arc;

use crate::{
    format::{
        FormatError,
        chunk_list::{ChunkList, DEPTH_MAX, decode_list_chunk},
        pack::PackClass,
        tree::{EntryBody, TreeChunkReader, TreeEntry},
    },
    id::ChunkId,
    index::ChunkIndex,
    repository::{FrameReader, Repository, RepositoryError, frames::ChunkBytes},
    storage::ObjectName,
};

/// Most leaves that [`TreeReader::leaf_ids`] collects: 512 MiB of ids, a file of about 16 TiB. Longer lists need [`LeafReader`].
const LEAVES_COLLECTED_MAX: usize = 16 << 20;

/// Reads trees; clones share the cache.
#[derive(Clone)]
pub struct TreeReader {
    frames: Arc<FrameReader>,
}

impl TreeReader {
    /// A reader that keeps up to `cache_bytes` of opened frames.
    pub fn new(repository: Arc<Repository>, index: Arc<ChunkIndex>, cache_bytes: u64) -> Self {
        Self::over(Arc::new(FrameReader::new(repository, index, cache_bytes)))
    }

    /// A reader over frames that somebody else reads as well.
    pub fn over(frames: Arc<FrameReader>) -> Self {
        Self { frames }
    }

    /// The frames below.
    pub fn frames(&self) -> &Arc<FrameReader> {
        &self.frames
    }

    /// Reads one chunk and checks its id.
    ///
    /// # Errors
    /// When it is missing or damaged, or the target does not answer.
    pub async fn chunk(&self, class: PackClass, id: &ChunkId) -> Result<ChunkBytes, RepositoryError> {
        self.frames.chunk(class, id).await
    }

    /// Reads the leaves of a list one after the other.
    pub fn leaves(&self, list: &ChunkList) -> LeafReader {
        LeafReader {
            reader: self.clone(),
            levels: vec![Level {
                depth: list.depth,
                ids: list.ids.clone(),
                next: 0,
            }],
        }
    }

    /// All leaves of a list at once.
    ///
    /// # Errors
    /// When a list chunk is missing or damaged, or there are unreasonably many.
    pub async fn leaf_ids(&self, list: &ChunkList) -> Result<Vec<ChunkId>, RepositoryError> {
        if list.depth == 0 {
            return Ok(list.ids.clone());
        }
        let mut leaves = self.leaves(list);
        let mut ids = Vec::new();
        while let Some(id) = leaves.next().await? {
            if ids.len() == LEAVES_COLLECTED_MAX {
                let first = list.ids.first().copied().unwrap_or(id);
                return Err(self.damaged(&first, "a chunk list is too long to hold in memory"));
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Reads the entries of a directory.
    pub fn directory(&self, content: &ChunkList) -> DirectoryReader {
        DirectoryReader {
            leaves: self.leaves(content),
            reader: self.clone(),
            chunk: None,
            entries: Vec::new().into_iter(),
            taken: 0,
            dropped: false,
            last_name: Vec::new(),
        }
    }

    /// Finds the entry at a path of names separated by `/`; slashes at either end do not matter. The root itself has no entry.
    ///
    /// # Errors
    /// When a directory on the way is missing or damaged.
    pub async fn entry_at(
        &self,
        root: &ChunkList,
        path: &[u8],
    ) -> Result<Option<TreeEntry>, RepositoryError> {
        let mut found: Option<TreeEntry> = None;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let content = match &found {
                None => root,
                Some(TreeEntry {
                    body: EntryBody::Directory { content, .. },
                    ..
                }) => content,
                Some(_) => return Ok(None),
            };
            let mut directory = self.directory(content);
            found = loop {
                match directory.next().await? {
                    Some(entry) if entry.name == name => break Some(entry),
                    // Names rise: what is passed will not come any more.
                    Some(entry) if entry.name.as_slice() > name => return Ok(None),
                    Some(_) => {}
                    None => return Ok(None),
                }
            };
        }
        Ok(found)
    }

    /// An error about the pack that holds a chunk.
    fn damaged(&self, id: &ChunkId, detail: impl Into<String>) -> RepositoryError {
        self.problem(id, FormatError::damaged("tree chunk", detail))
    }

    fn problem(&self, id: &ChunkId, source: FormatError) -> RepositoryError {
        let index = self.frames.index();
        match index.find(id) {
            Some(place) => {
                let name = ObjectName::from(index.frame(place.frame).pack);
                RepositoryError::object(&name, self.frames.repository().store.location(), source)
            }
            None => RepositoryError::MissingChunk { id: id.to_string() },
        }
    }
}

struct Level {
    depth: u8,
    ids: Vec<ChunkId>,
    next: usize,
}

/// Yields the leaves of a chunk list; holds one list chunk for each level, at most [`DEPTH_MAX`].
pub struct LeafReader {
    reader: TreeReader,
    levels: Vec<Level>,
}

impl LeafReader {
    /// The next leaf, in order.
    ///
    /// # Errors
    /// When a list chunk is missing or damaged; nothing follows after that.
    pub async fn next(&mut self) -> Result<Option<ChunkId>, RepositoryError> {
        loop {
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            let Some(id) = level.ids.get(level.next).copied() else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            if level.depth == 0 {
                return Ok(Some(id));
            }
            let depth = level.depth - 1;
            match self.list_chunk(&id, depth).await {
                Ok(ids) => self.levels.push(Level { depth, ids, next: 0 }),
                Err(error) => {
                    self.levels.clear();
                    return Err(error);
                }
            }
        }
    }

    async fn list_chunk(&self, id: &ChunkId, depth: u8) -> Result<Vec<ChunkId>, RepositoryError> {
        if depth >= DEPTH_MAX {
            return Err(self.reader.damaged(id, "a chunk list is nested too deep"));
        }
        let content = self.reader.chunk(PackClass::Tree, id).await?;
        decode_list_chunk(&content).map_err(|error| self.reader.problem(id, error))
    }
}

/// Yields the entries of a directory; holds at most one decoded tree chunk.
pub struct DirectoryReader {
    reader: TreeReader,
    leaves: LeafReader,
    chunk: Option<ChunkId>,
    entries: std::vec::IntoIter<TreeEntry>,
    /// Entries of the present chunk that were handed out.
    taken: usize,
    dropped: bool,
    last_name: Vec<u8>,
}

impl DirectoryReader {
    /// The next entry; names rise strictly.
    ///
    /// # Errors
    /// When a chunk is missing or damaged, or names do not rise; nothing follows after that.
    pub async fn next(&mut self) -> Result<Option<TreeEntry>, RepositoryError> {
        match self.advance().await {
            Ok(entry) => Ok(entry),
            Err(error) => {
                self.leaves.levels.clear();
                self.entries = Vec::new().into_iter();
                self.dropped = false;
                Err(error)
            }
        }
    }

    /// The next entry if it stands in memory already, so that who works on a thread need not wait for each; none says nothing about what follows.
    pub fn next_at_hand(&mut self) -> Option<TreeEntry> {
        let rises = self
            .entries
            .as_slice()
            .first()
            .is_some_and(|entry| entry.name > self.last_name);
        if self.dropped || !rises {
            return None;
        }
        let entry = self.entries.next()?;
        self.taken += 1;
        self.last_name.clone_from(&entry.name);
        Some(entry)
    }

    async fn advance(&mut self) -> Result<Option<TreeEntry>, RepositoryError> {
        if self.dropped
            && let Some(id) = self.chunk
        {
            let taken = self.taken;
            self.load(id).await?;
            self.entries.by_ref().take(taken).for_each(drop);
            self.taken = taken;
        }
        loop {
            if let Some(entry) = self.next_at_hand() {
                return Ok(Some(entry));
            }
            if self.entries.len() > 0 {
                let id = self.chunk.expect("an entry comes from a chunk");
                return Err(self.reader.damaged(&id, "the names of a directory do not rise"));
            }
            match self.leaves.next().await? {
                Some(id) => self.load(id).await?,
                None => return Ok(None),
            }
        }
    }

    async fn load(&mut self, id: ChunkId) -> Result<(), RepositoryError> {
        let content = self.reader.chunk(PackClass::Tree, &id).await?;
        let entries = TreeChunkReader::new(&content)
            .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
            .map_err(|error| self.reader.problem(&id, error))?;
        self.chunk = Some(id);
        self.entries = entries.into_iter();
        self.taken = 0;
        self.dropped = false;
        Ok(())
    }

    /// Lets go of the decoded chunk; it is read again when the next entry is wanted. For directories that wait far up a deep path.
    pub fn release(&mut self) {
        if self.entries.len() > 0 {
            self.entries = Vec::new().into_iter();
            self.dropped = true;
        }
    }
}
