// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a file name in the target is: an object, one of our temporary files, or foreign. The same for all targets.

use duplicati_engine::storage::{Listing, ObjectInfo, ObjectKind, ObjectName};

/// Between an object's name and the random digits of a temporary file.
const TEMPORARY_MARK: &str = ".tmp-";

/// Random hexadecimal digits at the end of a temporary file's name.
const TEMPORARY_DIGITS: usize = 16;

/// What an entry of a folder is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Object(ObjectName),
    Temporary,
    Foreign,
}

/// Folder and file name of an object's path; the folder is empty for the root.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A fresh temporary name beside `file_name`.
pub(crate) fn temporary(file_name: &str) -> String {
    format!("{file_name}{TEMPORARY_MARK}{:016x}", rand::random::<u64>())
}

/// Reads the name of an entry of `folder` (relative to the root).
pub(crate) fn meaning(folder: &str, file_name: &str) -> Meaning {
    if let Some(name) = object(folder, file_name) {
        return Meaning::Object(name);
    }
    match file_name.split_once(TEMPORARY_MARK) {
        Some((base, digits)) if is_temporary_digits(digits) && object(folder, base).is_some() => {
            Meaning::Temporary
        }
        _ => Meaning::Foreign,
    }
}

fn object(folder: &str, file_name: &str) -> Option<ObjectName> {
    let path = relative(folder, file_name);
    let name: ObjectName = path.parse().ok()?;
    // Exactly the form that we write: another spelling of the same name would be another file.
    (name.to_string() == path).then_some(name)
}

fn is_temporary_digits(digits: &str) -> bool {
    digits.len() == TEMPORARY_DIGITS
        && digits
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// The path of an entry below the root.
pub(crate) fn relative(folder: &str, file_name: &str) -> String {
    if folder.is_empty() {
        file_name.to_owned()
    } else {
        format!("{folder}/{file_name}")
    }
}

/// Whether this is one of the 256 folders that hold packs.
pub(crate) fn is_shard(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether an entry of the root is the folder of a kind.
pub(crate) fn is_kind_folder(name: &str) -> bool {
    ObjectKind::ALL
        .into_iter()
        .any(|kind| kind != ObjectKind::Config && kind.folder() == name)
}

/// Sorts what a target lists under one kind into objects and foreign paths.
pub(crate) struct Sorter {
    kind: ObjectKind,
    listing: Listing,
}

impl Sorter {
    /// For a listing of one kind.
    pub(crate) fn new(kind: ObjectKind) -> Self {
        Self {
            kind,
            listing: Listing::default(),
        }
    }

    /// A file at a path below the root.
    pub(crate) fn file(&mut self, path: &str, size_bytes: u64) {
        let (folder, file_name) = split(path);
        match meaning(folder, file_name) {
            Meaning::Object(name) if name.kind() == self.kind => {
                self.listing.objects.push(ObjectInfo { name, size_bytes });
            }
            Meaning::Temporary => {}
            Meaning::Object(_) | Meaning::Foreign => self.listing.foreign.push(path.to_owned()),
        }
    }

    /// A folder at a path below the root; those that a repository has are expected.
    pub(crate) fn folder(&mut self, path: &str) {
        let path = path.trim_end_matches('/');
        let (parent, name) = split(path);
        let is_expected = match parent {
            "" => path.is_empty() || is_kind_folder(name),
            parent => parent == ObjectKind::Pack.folder() && is_shard(name),
        };
        if !is_expected {
            self.listing.foreign.push(path.to_owned());
        }
    }

    /// Something at a path below the root that is neither a file nor a folder.
    pub(crate) fn foreign(&mut self, path: String) {
        self.listing.foreign.push(path);
    }

    /// Everything, once each.
    pub(crate) fn finish(mut self) -> Listing {
        // A listing that comes in pages while objects come and go may show one twice.
        self.listing.objects.sort_unstable_by_key(|object| object.name);
        self.listing.objects.dedup_by_key(|object| object.name);
        self.listing.foreign.sort_unstable();
        self.listing.foreign.dedup();
        self.listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_are_recognised_and_nothing_near_them() {
        let digits = "5a".repeat(16);
        let fresh = temporary(&digits);
        assert_eq!(meaning("packs/5a", &fresh), Meaning::Temporary);
        assert_eq!(meaning("", &temporary("repository.json")), Meaning::Temporary);
        for (folder, file_name) in [
            ("packs/5b", fresh.clone()),
            ("packs", fresh.clone()),
            ("keys", format!("{digits}.tmp-123")),
            ("keys", format!("{digits}.tmp-{}", "G".repeat(16))),
            ("keys", format!("note.tmp-{}", "0".repeat(16))),
            ("keys", format!("{fresh}~")),
            ("keys", digits.to_uppercase()),
        ] {
            assert_eq!(
                meaning(folder, &file_name),
                Meaning::Foreign,
                "{folder}/{file_name}"
            );
        }
    }
}
