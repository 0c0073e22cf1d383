// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a file name in the target is: an object, one of our temporary files, or foreign.

use duplicati_engine::storage::{ObjectKind, ObjectName};

/// Between an object's name and the random digits of a temporary file.
const TEMPORARY_MARK: &str = ".tmp-";

/// Random hexadecimal digits at the end of a temporary file's name.
const TEMPORARY_DIGITS: usize = 16;

/// What an entry of a folder is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Object(ObjectName),
    Temporary,
    Foreign,
}

/// Folder and file name of an object's path; the folder is empty for the root.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A fresh temporary name beside `file_name`.
pub(super) fn temporary(file_name: &str) -> String {
    format!("{file_name}{TEMPORARY_MARK}{:016x}", rand::random::<u64>())
}

/// Reads the name of an entry of `folder` (relative to the root).
pub(super) fn meaning(folder: &str, file_name: &str) -> Meaning {
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
pub(super) fn relative(folder: &str, file_name: &str) -> String {
    if folder.is_empty() {
        file_name.to_owned()
    } else {
        format!("{folder}/{file_name}")
    }
}

/// Whether this is one of the 256 folders that hold packs.
pub(super) fn is_shard(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether an entry of the root is the folder of a kind.
pub(super) fn is_kind_folder(name: &str) -> bool {
    ObjectKind::ALL
        .into_iter()
        .any(|kind| kind != ObjectKind::Config && kind.folder() == name)
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
