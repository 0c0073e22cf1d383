// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which folders below the root this process has seen to be there and durable.
//!
//! Another process may have made a folder and not yet synced its parent, so existence alone proves nothing.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::schemes::names;

#[derive(Debug, Default)]
pub(super) struct Folders {
    durable: Mutex<BTreeSet<String>>,
}

/// The folders above an object, to be made and made durable. The root is not among those to be made: a target whose root is
/// gone must fail and not fill another disk.
#[derive(Debug)]
pub(super) struct ParentFolders {
    folders: Vec<String>,
}

impl ParentFolders {
    pub(super) fn to_make(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str)
    }

    /// The parent of each folder that may be new.
    pub(super) fn to_sync(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(|folder| names::split(folder).0)
    }
}

impl Folders {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Each change is one call, so the set is whole even after a panic elsewhere.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folders above `object` unless they are known to be there.
    pub(super) fn missing_parents(&self, object: &str) -> Option<ParentFolders> {
        let (folder, _) = names::split(object);
        if folder.is_empty() || self.lock().contains(folder) {
            return None;
        }
        let mut folders: Vec<String> = folder
            .match_indices('/')
            .map(|(place, _)| folder[..place].to_owned())
            .collect();
        folders.push(folder.to_owned());
        Some(ParentFolders { folders })
    }

    pub(super) fn learn(&self, parents: ParentFolders) {
        self.lock().extend(parents.folders);
    }

    /// Forgets all folders above `object`; whether any was known.
    pub(super) fn forget(&self, object: &str) -> bool {
        let (folder, _) = names::split(object);
        let mut durable = self.lock();
        let known = durable.len();
        durable.retain(|name| !(folder == name || folder.starts_with(&format!("{name}/"))));
        durable.len() < known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_from_the_top_until_they_are_known() {
        let folders = Folders::default();
        let parents = folders.missing_parents("packs/5a/x").unwrap();
        assert_eq!(parents.to_make().collect::<Vec<_>>(), ["packs", "packs/5a"]);
        assert_eq!(parents.to_sync().collect::<Vec<_>>(), ["", "packs"]);
        folders.learn(parents);
        assert!(folders.missing_parents("packs/5a/y").is_none());
        assert!(folders.missing_parents("packs/5b/y").is_some());
        assert!(folders.missing_parents("repository.json").is_none());
        assert!(folders.forget("packs/5a/z") && !folders.forget("packs/5a/z"));
        assert!(folders.missing_parents("packs/5a/y").is_some());
    }
}
