// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which paths a backup looks at when it is told what has changed.

use std::collections::BTreeMap;

/// What a selection says about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The path and everything below is looked at.
    Here,
    /// Only some paths below are.
    Below,
    /// It is gone.
    Deleted,
    /// It is as it was.
    Nowhere,
}

/// Paths to look at, and paths that are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    root: Node,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    here: Option<Look>,
    children: BTreeMap<Vec<u8>, Node>,
}

impl Selection {
    /// From absolute paths. A path that is both counts as changed: then the source says what there is.
    pub fn new<'a>(
        changed: impl IntoIterator<Item = &'a [u8]>,
        deleted: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut selection = Self::default();
        for path in deleted {
            selection.node(path).here = Some(Look::Deleted);
        }
        for path in changed {
            selection.node(path).here = Some(Look::Here);
        }
        selection
    }

    fn node(&mut self, path: &[u8]) -> &mut Node {
        names(path).fold(&mut self.root, |node, name| {
            node.children.entry(name.to_vec()).or_default()
        })
    }

    pub(crate) fn look(&self, path: &[u8]) -> Look {
        let mut node = &self.root;
        for name in names(path) {
            if node.here == Some(Look::Here) {
                return Look::Here;
            }
            match node.children.get(name) {
                Some(child) => node = child,
                None => return Look::Nowhere,
            }
        }
        node.here.unwrap_or(if node.children.is_empty() {
            Look::Nowhere
        } else {
            Look::Below
        })
    }

    /// The names directly below a path that the selection mentions, sorted.
    pub(crate) fn names_below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mut node = &self.root;
        for name in names(path) {
            match node.children.get(name) {
                Some(child) => node = child,
                None => return Vec::new(),
            }
        }
        node.children.keys().cloned().collect()
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_tells_what_to_look_at_and_what_is_on_the_way() {
        let selection = Selection::new([&b"/a/b"[..], b"/c/d/"], [&b"/a/x"[..], b"/c/d"]);
        for (path, look) in [
            (&b"/a"[..], Look::Below),
            (b"/a/b", Look::Here),
            (b"/a/b/below", Look::Here),
            (b"/a/bb", Look::Nowhere),
            (b"/a/x", Look::Deleted),
            (b"/c/d", Look::Here),
            (b"/z", Look::Nowhere),
        ] {
            assert_eq!(selection.look(path), look, "{}", String::from_utf8_lossy(path));
        }
        assert_eq!(selection.names_below(b"/a"), [b"b".to_vec(), b"x".to_vec()]);
    }
}
