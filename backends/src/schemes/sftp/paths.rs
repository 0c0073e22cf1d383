// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Paths at the server: the root, and what lies below it.

use bytes::{Bytes, BytesMut};

/// The root of the store at the server.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    root: Bytes,
}

impl Paths {
    pub(super) fn new(root: Bytes) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Bytes {
        &self.root
    }

    /// A path below the root; empty means the root.
    pub(super) fn of(&self, relative: &str) -> Bytes {
        self.of_bytes(relative.as_bytes())
    }

    /// The same for names that came from the server.
    pub(super) fn of_bytes(&self, relative: &[u8]) -> Bytes {
        if relative.is_empty() {
            return self.root.clone();
        }
        let mut path = BytesMut::with_capacity(self.root.len() + 1 + relative.len());
        path.extend_from_slice(&self.root);
        if !path.ends_with(b"/") {
            path.extend_from_slice(b"/");
        }
        path.extend_from_slice(relative);
        path.freeze()
    }

    /// The root and the folders above it, from the top.
    pub(super) fn root_and_above(&self) -> Vec<Bytes> {
        let mut paths = Vec::new();
        for (place, byte) in self.root.iter().enumerate() {
            if *byte == b'/' && place > 0 {
                paths.push(self.root.slice(..place));
            }
        }
        paths.push(self.root.clone());
        paths
    }
}

/// The folder that holds a path.
pub(super) fn parent(path: &Bytes) -> Bytes {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => Bytes::from_static(b"/"),
        Some(place) => path.slice(..place),
        None => Bytes::from_static(b"."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_with_one_slash() {
        for (root, relative, expected) in [
            ("/a", "packs/x", "/a/packs/x"),
            ("/", "packs", "/packs"),
            (".", "keys", "./keys"),
            ("a/b", "", "a/b"),
        ] {
            let paths = Paths::new(Bytes::from_static(root.as_bytes()));
            assert_eq!(paths.of(relative), expected);
        }
    }

    #[test]
    fn folders_above_the_root_come_first() {
        let all = |root: &'static str| Paths::new(Bytes::from_static(root.as_bytes())).root_and_above();
        assert_eq!(all("/a/b"), ["/a", "/a/b"]);
        assert_eq!(all("a/b/c"), ["a", "a/b", "a/b/c"]);
        assert_eq!(all("/"), ["/"]);
        for (path, expected) in [("/a/b", "/a"), ("/a", "/"), ("a", ".")] {
            assert_eq!(parent(&Bytes::from_static(path.as_bytes())), expected);
        }
    }
}
