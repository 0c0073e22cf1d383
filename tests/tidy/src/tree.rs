// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of the repository, without what builds and tools leave behind.

use std::path::{Path, PathBuf};

/// Folders (and what has their names) that hold nothing of ours.
const FOREIGN: [&str; 7] = [
    ".git",
    "target",
    "__pycache__",
    "node_modules",
    "corpus",
    "artifacts",
    ".venv",
];

/// The top folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A text file by its path from the top folder.
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// All text files with one of these endings; every text file when none is given.
pub fn files(endings: &[&str]) -> Vec<SourceFile> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            // In a second work tree of a repository `.git` is a file.
            if FOREIGN.contains(&name.as_str()) || name.starts_with("target-") {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
                continue;
            }
            let wanted = endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending));
            // What is not text is data of a test.
            if wanted && let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(SourceFile { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no files with the endings {endings:?}");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// One file that must be there.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with all complaints at once.
#[track_caller]
pub fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
