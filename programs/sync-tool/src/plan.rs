// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is to be done so that the destination holds what the source holds, and in which order.
//!
//! A copy that is cut off must not show a version whose data is not there. So data goes before what describes it, and is removed
//! after it, for our own repositories and for Duplicati's files alike.

use std::collections::BTreeMap;

use duplicati_backends::FileEntry;

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Not at the destination, or not all of it.
    pub copy: Vec<FileEntry>,
    /// There with another size.
    pub replace: Vec<FileEntry>,
    /// At the destination only.
    pub remove: Vec<FileEntry>,
    /// Of the same size at both.
    pub same: Vec<FileEntry>,
    /// Differ, but the destination looks newer; left alone unless forced.
    pub newer: Vec<FileEntry>,
}

/// Compares two listings.
pub fn plan(source: Vec<FileEntry>, destination: Vec<FileEntry>, force: bool) -> Plan {
    let files = |entries: Vec<FileEntry>| -> BTreeMap<String, FileEntry> {
        let files = entries.into_iter().filter(|entry| !entry.is_folder);
        files.map(|entry| (entry.path.clone(), entry)).collect()
    };
    let mut there = files(destination);
    let mut plan = Plan::default();
    for (path, entry) in files(source) {
        match there.remove(&path) {
            None => plan.copy.push(entry),
            Some(other) if other.size_bytes == entry.size_bytes => plan.same.push(entry),
            Some(other) if !force && other.modified > entry.modified && entry.modified.is_some() => {
                plan.newer.push(entry)
            }
            Some(_) => plan.replace.push(entry),
        }
    }
    plan.remove = there.into_values().collect();
    plan.copy.sort_by_key(|entry| rank(&entry.path));
    plan.replace.sort_by_key(|entry| rank(&entry.path));
    plan.remove
        .sort_by_key(|entry| std::cmp::Reverse(rank(&entry.path)));
    plan
}

/// Data first, what makes it a version last.
fn rank(path: &str) -> u8 {
    let has = |word: &str| path.contains(word);
    if path.starts_with("snapshots/") || has(".dlist.") {
        3
    } else if path.starts_with("index/") || has(".dindex.") {
        2
    } else if path.starts_with("packs/") || has(".dblock.") {
        1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size_bytes: u64, modified: i64) -> FileEntry {
        FileEntry {
            path: path.to_owned(),
            is_folder: false,
            size_bytes,
            modified: Some(modified),
        }
    }

    fn paths(entries: &[FileEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.path.as_str()).collect()
    }

    #[test]
    fn each_file_falls_into_one_group() {
        let source = vec![
            file("new", 1, 5),
            file("same", 2, 5),
            file("changed", 3, 5),
            file("older", 3, 5),
        ];
        let destination = vec![
            file("same", 2, 9),
            file("changed", 4, 1),
            file("older", 4, 9),
            file("gone", 1, 1),
        ];
        let made = plan(source.clone(), destination.clone(), false);
        assert_eq!(paths(&made.copy), ["new"]);
        assert_eq!(paths(&made.same), ["same"]);
        assert_eq!(paths(&made.replace), ["changed"]);
        assert_eq!(paths(&made.newer), ["older"]);
        assert_eq!(paths(&made.remove), ["gone"]);
        assert_eq!(
            paths(&plan(source, destination, true).replace),
            ["changed", "older"]
        );
    }

    #[test]
    fn a_version_comes_after_its_data_and_goes_before_it() {
        let all = [
            "snapshots/1",
            "packs/aa/1",
            "index/1",
            "repository.json",
            "x.dlist.zip.aes",
            "x.dblock.zip.aes",
        ];
        let entries: Vec<_> = all.iter().map(|path| file(path, 1, 1)).collect();
        let copy = plan(entries.clone(), Vec::new(), false).copy;
        let place =
            |entries: &[FileEntry], path: &str| entries.iter().position(|entry| entry.path == path).unwrap();
        assert!(place(&copy, "packs/aa/1") < place(&copy, "index/1"));
        assert!(place(&copy, "index/1") < place(&copy, "snapshots/1"));
        assert!(place(&copy, "x.dblock.zip.aes") < place(&copy, "x.dlist.zip.aes"));
        let remove = plan(Vec::new(), entries, false).remove;
        assert!(place(&remove, "snapshots/1") < place(&remove, "packs/aa/1"));
    }
}
