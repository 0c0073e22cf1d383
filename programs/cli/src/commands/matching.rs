// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Going through several versions at once, path by path, in the memory of one path per version.

use std::cmp::Ordering;

use duplicati_engine::{
    format::tree::{EntryBody, TreeEntry},
    restore::Selection,
    snapshot::{TreeReader, TreeWalk, WalkStep},
};

use super::path_choice::PathChoice;
use crate::{failure::Outcome, invocation::Invocation, versions::Version};

/// One path, and what each version has there.
pub struct MatchedPath {
    /// Absolute; folders end with `/`.
    pub path: Vec<u8>,
    /// For each version in the order given; none where the path does not exist.
    pub entries: Vec<Option<TreeEntry>>,
}

/// Walks versions side by side.
pub struct VersionWalk<'a> {
    invocation: &'a Invocation,
    choice: PathChoice,
    /// Whether folders that are the same in all versions are passed over.
    skips_equal: bool,
    walks: Vec<(TreeWalk, Option<TreeEntry>)>,
}

impl<'a> VersionWalk<'a> {
    /// Begins to walk what is chosen.
    pub async fn begin(
        invocation: &'a Invocation,
        trees: &TreeReader,
        versions: &[Version],
        choice: PathChoice,
    ) -> Outcome<Self> {
        let mut walk = Self {
            invocation,
            choice,
            skips_equal: false,
            walks: versions
                .iter()
                .map(|version| (trees.walk(&version.root()), None))
                .collect(),
        };
        for position in 0..walk.walks.len() {
            walk.advance(position).await?;
        }
        Ok(walk)
    }

    /// From now on, does not enter folders whose content is the same in all versions.
    #[must_use]
    pub fn skipping_equal(mut self) -> Self {
        self.skips_equal = true;
        self
    }

    /// The next path that matches, in the order of names.
    pub async fn next(&mut self) -> Outcome<Option<MatchedPath>> {
        let Some(first) = (0..self.walks.len())
            .filter(|position| self.walks[*position].1.is_some())
            .min_by(|left, right| path_order(self.walks[*left].0.path(), self.walks[*right].0.path()))
        else {
            return Ok(None);
        };
        let wanted = self.walks[first].0.path().to_vec();
        let mut path = wanted.clone();
        path.insert(0, b'/');
        let entries: Vec<Option<TreeEntry>> = self
            .walks
            .iter_mut()
            .map(|(walk, entry)| if walk.path() == wanted { entry.take() } else { None })
            .collect();
        if entries.iter().flatten().any(is_folder) {
            path.push(b'/');
        }
        let is_equal = self.skips_equal && is_same_folder(&entries);
        for (position, entry) in entries.iter().enumerate() {
            if entry.is_some() {
                if is_equal {
                    self.walks[position].0.skip();
                }
                self.advance(position).await?;
            }
        }
        Ok(Some(MatchedPath { path, entries }))
    }

    /// Moves one walk to its next included entry.
    async fn advance(&mut self, position: usize) -> Outcome<()> {
        let (walk, waiting) = &mut self.walks[position];
        *waiting = loop {
            match walk.next().await {
                Ok(Some(WalkStep::Entry(entry))) => {
                    match self.choice.select(&absolute(walk.path(), &entry)) {
                        Selection::Take => break Some(entry),
                        Selection::Below => {}
                        Selection::Leave => walk.skip(),
                    }
                }
                Ok(Some(WalkStep::Leave(_))) => {}
                Ok(None) => break None,
                Err(error) if error.is_damage() => {
                    self.invocation.log.write(
                        crate::logging::Level::Error,
                        "FolderUnreadable",
                        walk.path(),
                        &error.to_string(),
                    );
                }
                Err(error) => return Err(error.into()),
            }
        };
        Ok(())
    }
}

/// Whether an entry is a folder.
pub fn is_folder(entry: &TreeEntry) -> bool {
    matches!(entry.body, EntryBody::Directory { .. })
}

/// Whether all entries are folders with the same content.
fn is_same_folder(entries: &[Option<TreeEntry>]) -> bool {
    let content = |entry: &Option<TreeEntry>| match entry.as_ref().map(|entry| &entry.body) {
        Some(EntryBody::Directory { content, .. }) => Some(content.clone()),
        _ => None,
    };
    let first = entries.first().and_then(content);
    first.is_some() && entries.iter().all(|entry| content(entry) == first)
}

/// The size of a file; none for anything else.
pub fn file_size(entry: &TreeEntry) -> Option<u64> {
    match &entry.body {
        EntryBody::File { size, .. } => Some(*size),
        _ => None,
    }
}

/// The path as filters see it.
fn absolute(path: &[u8], entry: &TreeEntry) -> Vec<u8> {
    let mut absolute = Vec::with_capacity(path.len() + 2);
    absolute.push(b'/');
    absolute.extend_from_slice(path);
    if is_folder(entry) {
        absolute.push(b'/');
    }
    absolute
}

/// The order of a walk: a folder's content comes directly after it, so `/` is less than any other byte.
fn path_order(left: &[u8], right: &[u8]) -> Ordering {
    let weight = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    left.iter().map(weight).cmp(right.iter().map(weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_a_folder_comes_before_names_that_begin_like_it() {
        let mut paths: Vec<&[u8]> = vec![b"a.b", b"a/z", b"a", b"a b", b"a/b/c", b"a/b"];
        paths.sort_by(|left, right| path_order(left, right));
        assert_eq!(paths, [&b"a"[..], b"a/b", b"a/b/c", b"a/z", b"a b", b"a.b"]);
    }
}
