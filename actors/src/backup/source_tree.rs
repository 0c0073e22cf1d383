// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The sources as a tree of names from the root: which folders are only on the way, and where everything below belongs to the backup.

use std::collections::BTreeMap;

/// One name on the way to a source.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SourceNode {
    /// Everything here and below belongs to the backup.
    pub is_source: bool,
    /// Names below, sorted.
    pub children: BTreeMap<Vec<u8>, SourceNode>,
}

impl SourceNode {
    /// Builds the tree from absolute paths. A source inside another is folded into it.
    pub fn from_paths<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut node = &mut root;
            for name in path
                .split(|byte| *byte == b'/')
                .filter(|name| !name.is_empty() && *name != b".")
            {
                node = node.children.entry(name.to_vec()).or_default();
            }
            node.is_source = true;
        }
        root.fold();
        root
    }

    fn fold(&mut self) {
        if self.is_source {
            self.children.clear();
        }
        self.children.values_mut().for_each(Self::fold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_inside_another_is_folded_into_it() {
        let root = SourceNode::from_paths([&b"/home/me/x"[..], b"/home/me/", b"/etc"]);
        let names: Vec<_> = root.children.keys().map(Vec::as_slice).collect();
        assert_eq!(names, [&b"etc"[..], b"home"]);
        let me = &root.children[&b"home"[..]].children[&b"me"[..]];
        assert!(me.is_source && me.children.is_empty());
    }

    #[test]
    fn the_root_itself_can_be_a_source() {
        assert!(SourceNode::from_paths([&b"/"[..], b"/etc"]).is_source);
    }
}
