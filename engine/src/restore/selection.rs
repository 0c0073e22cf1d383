// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which entries are restored, and under which name below the target.

use super::{RestoreFilter, Selection};

/// What of a snapshot is wanted. Paths inside the tree have no slash in front: `home/me`.
#[derive(Clone)]
pub struct Selector {
    filter: Option<RestoreFilter>,
    sources: Vec<Vec<u8>>,
}

impl Selector {
    /// `sources` are the paths that were backed up, as the manifest names them.
    pub fn new(filter: Option<RestoreFilter>, sources: &[Vec<u8>]) -> Self {
        let trim = |path: &Vec<u8>| {
            let start = path.iter().take_while(|byte| **byte == b'/').count();
            let end = path
                .iter()
                .rposition(|byte| *byte != b'/')
                .map_or(start, |end| end + 1);
            path[start.min(end)..end].to_vec()
        };
        Self {
            filter,
            sources: sources.iter().map(trim).collect(),
        }
    }

    /// Whether an entry is wanted. Folders above the sources never are themselves: they only lead to what was backed up.
    pub fn select(&self, path: &[u8], is_folder: bool) -> Selection {
        let chosen = match &self.filter {
            None => Selection::Take,
            Some(filter) => {
                let mut text = Vec::with_capacity(path.len() + 2);
                text.push(b'/');
                text.extend_from_slice(path);
                if is_folder {
                    text.push(b'/');
                }
                filter(&text)
            }
        };
        if chosen == Selection::Take && is_folder && self.is_above_source(path) {
            return Selection::Below;
        }
        chosen
    }

    fn is_above_source(&self, path: &[u8]) -> bool {
        !self.sources.is_empty()
            && self.sources.iter().any(|source| {
                source.len() > path.len() && source.starts_with(path) && source[path.len()] == b'/'
            })
            && !self.sources.iter().any(|source| is_at_or_below(path, source))
    }
}

/// Whether `path` is `folder` or lies below it. Everything lies below the empty path.
pub fn is_at_or_below(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Finds the longest folder that all selected entries share.
#[derive(Debug, Default)]
pub struct CommonPrefix {
    prefix: Option<Vec<u8>>,
}

impl CommonPrefix {
    /// Takes in one selected entry. A folder counts as what it contains.
    pub fn add(&mut self, path: &[u8], is_folder: bool) {
        let folder = if is_folder { path } else { parent(path) };
        let Some(prefix) = &mut self.prefix else {
            self.prefix = Some(folder.to_vec());
            return;
        };
        while !is_at_or_below(folder, prefix) {
            let length = parent(prefix).len();
            prefix.truncate(length);
        }
    }

    /// Whether nothing at or below this folder can change the answer any more.
    pub fn covers(&self, folder: &[u8]) -> bool {
        self.prefix
            .as_ref()
            .is_some_and(|prefix| is_at_or_below(folder, prefix))
    }

    /// The answer; empty when nothing is shared.
    pub fn finish(self) -> Vec<u8> {
        self.prefix.unwrap_or_default()
    }
}

/// The folder of a path; empty at the top.
pub fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &path[..end]
}

/// What stands behind the prefix; empty for the prefix itself.
pub fn below_prefix<'a>(path: &'a [u8], prefix: &[u8]) -> &'a [u8] {
    if prefix.is_empty() {
        return path;
    }
    path.get(prefix.len() + 1..).unwrap_or_default()
}

/// Names for a file that may not take its own: `name.2026-01-31.txt`, then `name.2026-01-31 (0).txt` and so on.
pub fn alternate_name(name: &[u8], date: &str, attempt: Option<u32>) -> Vec<u8> {
    // A dot in front is part of the name: `.profile` has no extension.
    let dot = name
        .iter()
        .rposition(|byte| *byte == b'.')
        .filter(|dot| *dot > 0)
        .unwrap_or(name.len());
    let (stem, extension) = name.split_at(dot);
    let mut addition = format!(".{date}");
    if let Some(attempt) = attempt {
        addition.push_str(&format!(" ({attempt})"));
    }
    let room = super::file::NAME_BYTES_MAX.saturating_sub(addition.len() + extension.len());
    let mut out = stem[..stem.len().min(room)].to_vec();
    out.extend_from_slice(addition.as_bytes());
    out.extend_from_slice(extension);
    out.truncate(super::file::NAME_BYTES_MAX);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn folders_above_the_sources_are_passed_through() {
        let selector = Selector::new(None, &[b"/home/me/".to_vec()]);
        assert_eq!(selector.select(b"home", true), Selection::Below);
        assert_eq!(selector.select(b"home/me", true), Selection::Take);
        assert_eq!(selector.select(b"home/me/x", true), Selection::Take);
        let nested = Selector::new(None, &[b"/home".to_vec(), b"/home/me/x".to_vec()]);
        assert_eq!(nested.select(b"home/me", true), Selection::Take);
        let root = Selector::new(None, &[b"/".to_vec()]);
        assert_eq!(root.select(b"home", true), Selection::Take);
    }

    #[test]
    fn the_filter_sees_absolute_paths_with_a_slash_after_folders() {
        let filter: RestoreFilter = Arc::new(|path| match path {
            b"/a/" => Selection::Below,
            b"/a/b" => Selection::Take,
            _ => Selection::Leave,
        });
        let selector = Selector::new(Some(filter), &[]);
        assert_eq!(selector.select(b"a", true), Selection::Below);
        assert_eq!(selector.select(b"a/b", false), Selection::Take);
        assert_eq!(selector.select(b"a/b", true), Selection::Leave);
    }

    #[test]
    fn the_common_prefix_shrinks_to_what_all_share() {
        let mut prefix = CommonPrefix::default();
        assert!(!prefix.covers(b"home"));
        prefix.add(b"home/me/docs/a", false);
        assert!(prefix.covers(b"home/me/docs/x") && !prefix.covers(b"home/me"));
        prefix.add(b"home/me/docs2", true);
        assert!(prefix.covers(b"home/me"));
        assert_eq!(prefix.finish(), b"home/me");
        let mut top = CommonPrefix::default();
        top.add(b"a", true);
        top.add(b"b", true);
        assert_eq!(top.finish(), b"");
        assert_eq!(below_prefix(b"home/me/x", b"home/me"), b"x");
        assert_eq!(below_prefix(b"home/me", b"home/me"), b"");
    }

    #[test]
    fn alternate_names_keep_the_extension_and_fit() {
        let name = |name: &str, attempt| alternate_name(name.as_bytes(), "2026-01-31", attempt);
        assert_eq!(name("a.tar.gz", None), b"a.tar.2026-01-31.gz");
        assert_eq!(name("a.txt", Some(0)), b"a.2026-01-31 (0).txt");
        assert_eq!(name(".profile", None), b".profile.2026-01-31");
        let long = name(&format!("{}.txt", "x".repeat(251)), Some(7));
        assert_eq!(long.len(), 255);
        assert!(long.ends_with(b".2026-01-31 (7).txt"));
    }
}
