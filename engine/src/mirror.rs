// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What must be done so that one target holds what another holds, and in which order; decided from two listings, without I/O.
//!
//! A copy that is cut off must not show a version whose data is not there. So data goes before what describes it, and that before the version;
//! removal runs the other way. Files of Duplicati's own layout are ordered by the same rule.

use std::collections::BTreeMap;

use crate::storage::{ObjectInfo, ObjectKind, ObjectName};

/// Something listed.
pub trait Listed {
    /// What it is called.
    type Name: Ord + Clone;

    /// Its name.
    fn name(&self) -> Self::Name;

    /// Its size in bytes.
    fn size_bytes(&self) -> u64;

    /// When it was last written, seconds since 1970, where that says anything.
    fn modified(&self) -> Option<i64> {
        None
    }

    /// Its place in the order of copying: a lower rank is copied first and removed last.
    fn rank(&self) -> u8;
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan<T> {
    /// Not at the destination.
    pub copy: Vec<T>,
    /// There with another size.
    pub replace: Vec<T>,
    /// At the destination only.
    pub remove: Vec<T>,
    /// Of the same size at both.
    pub same: Vec<T>,
    /// Differ in size, are no files of a backup, and look newer at the destination; left alone unless forced.
    pub newer: Vec<T>,
}

impl<T> Default for Plan<T> {
    fn default() -> Self {
        Self {
            copy: Vec::new(),
            replace: Vec::new(),
            remove: Vec::new(),
            same: Vec::new(),
            newer: Vec::new(),
        }
    }
}

/// Compares two listings. With `force`, what looks newer at the destination is replaced as well.
///
/// Stored files of a backup never change, so one of another size is no newer state of itself but was cut off on its way: its time says nothing.
pub fn plan<T: Listed>(source: Vec<T>, destination: Vec<T>, force: bool) -> Plan<T> {
    let by_name = |entries: Vec<T>| -> BTreeMap<T::Name, T> {
        entries.into_iter().map(|entry| (entry.name(), entry)).collect()
    };
    let mut there = by_name(destination);
    let mut plan = Plan::default();
    for (name, entry) in by_name(source) {
        match there.remove(&name) {
            None => plan.copy.push(entry),
            Some(other) if other.size_bytes() == entry.size_bytes() => plan.same.push(entry),
            Some(other)
                if !force
                    && entry.rank() == RANK_OF_OTHERS
                    && other.modified() > entry.modified()
                    && entry.modified().is_some() =>
            {
                plan.newer.push(entry)
            }
            Some(_) => plan.replace.push(entry),
        }
    }
    plan.remove = there.into_values().collect();
    plan.copy.sort_by_key(Listed::rank);
    plan.replace.sort_by_key(Listed::rank);
    plan.remove.sort_by_key(|entry| std::cmp::Reverse(entry.rank()));
    plan
}

/// The rank of files that belong to no backup: after the data and before the versions. No file of a backup has it.
const RANK_OF_OTHERS: u8 = 4;
/// The rank of versions.
const RANK_OF_VERSIONS: u8 = 5;

/// The order of copying for our own objects. The ways in come after the data that they open, and the versions last.
pub fn rank_of_kind(kind: ObjectKind) -> u8 {
    match kind {
        ObjectKind::Pack => 0,
        ObjectKind::IndexSegment => 1,
        ObjectKind::Key => 2,
        ObjectKind::Config => 3,
        ObjectKind::Snapshot => RANK_OF_VERSIONS,
        // Belong to runs of one target and are no part of a copy.
        ObjectKind::Session | ObjectKind::Plan => 6,
    }
}

/// The order of copying for a file of any name; data, what describes it, the rest, versions.
pub fn rank_of_path(path: &str) -> u8 {
    if let Ok(name) = path.parse::<ObjectName>() {
        return rank_of_kind(name.kind());
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    if file.contains(".dlist.") {
        RANK_OF_VERSIONS
    } else if file.contains(".dindex.") {
        1
    } else if file.contains(".dblock.") {
        0
    } else {
        RANK_OF_OTHERS
    }
}

impl Listed for ObjectInfo {
    type Name = ObjectName;

    fn name(&self) -> ObjectName {
        self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn rank(&self) -> u8 {
        rank_of_kind(self.name.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct File(&'static str, u64, i64);

    impl Listed for File {
        type Name = &'static str;
        fn name(&self) -> &'static str {
            self.0
        }
        fn size_bytes(&self) -> u64 {
            self.1
        }
        fn modified(&self) -> Option<i64> {
            Some(self.2)
        }
        fn rank(&self) -> u8 {
            rank_of_path(self.0)
        }
    }

    fn names(entries: &[File]) -> Vec<&str> {
        entries.iter().map(|entry| entry.0).collect()
    }

    #[test]
    fn each_file_falls_into_one_group() {
        let source = vec![
            File("new", 1, 5),
            File("same", 2, 5),
            File("changed", 3, 5),
            File("older", 3, 5),
        ];
        let destination = vec![
            File("same", 2, 9),
            File("changed", 4, 1),
            File("older", 4, 9),
            File("gone", 1, 1),
        ];
        let made = plan(source.clone(), destination.clone(), false);
        assert_eq!(names(&made.copy), ["new"]);
        assert_eq!(names(&made.same), ["same"]);
        assert_eq!(names(&made.replace), ["changed"]);
        assert_eq!(names(&made.newer), ["older"]);
        assert_eq!(names(&made.remove), ["gone"]);
        assert_eq!(
            names(&plan(source, destination, true).replace),
            ["changed", "older"]
        );
    }

    #[test]
    fn a_file_of_a_backup_that_has_another_size_is_replaced_whatever_its_time() {
        for name in [
            "packs/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "snapshots/dddddddddddddddddddddddddddddddd",
            "repository.json",
            "folder/x.dblock.zip.aes",
            "x.dindex.zip",
            "x.dlist.zip.gpg",
        ] {
            let made = plan(vec![File(name, 9, 1)], vec![File(name, 4, 8)], false);
            assert_eq!(names(&made.replace), [name]);
        }
        const OTHER: &str = "a.dblock.d/notes.txt";
        let made = plan(vec![File(OTHER, 9, 1)], vec![File(OTHER, 4, 8)], false);
        assert_eq!(names(&made.newer), [OTHER]);
    }

    #[test]
    fn a_version_comes_after_its_data_and_goes_before_it() {
        const PACK: &str = "packs/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        const SEGMENT: &str = "index/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
        const KEY: &str = "keys/cccccccccccccccccccccccccccccccc";
        const SNAPSHOT: &str = "snapshots/dddddddddddddddddddddddddddddddd";
        let ours = [SNAPSHOT, "notes.txt", KEY, PACK, "repository.json", SEGMENT];
        let others = ["x.dlist.zip.aes", "x.dblock.zip.aes", "x.dindex.zip.aes"];
        let entries =
            |names: &[&'static str]| -> Vec<File> { names.iter().map(|name| File(name, 1, 1)).collect() };
        let copied = plan(entries(&ours), Vec::new(), false).copy;
        assert_eq!(
            names(&copied),
            [PACK, SEGMENT, KEY, "repository.json", "notes.txt", SNAPSHOT]
        );
        let removed = plan(Vec::new(), entries(&ours), false).remove;
        assert_eq!(
            names(&removed),
            [SNAPSHOT, "notes.txt", "repository.json", KEY, SEGMENT, PACK]
        );
        let copied = plan(entries(&others), Vec::new(), false).copy;
        assert_eq!(
            names(&copied),
            ["x.dblock.zip.aes", "x.dindex.zip.aes", "x.dlist.zip.aes"]
        );
    }
}
