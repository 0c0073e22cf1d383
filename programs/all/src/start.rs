// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which program is meant by the way the file was started.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::programs::{OWN_NAME, Program, find};

/// Links that are followed at most; the kernel follows as many.
const LINKS_MAX: usize = 40;
/// Characters of a name that a message shows.
const SHOWN_CHARS: usize = 64;

/// What is to be run.
pub enum Start {
    Program(&'static Program),
    /// The file itself was asked for.
    Own,
    /// Whoever started it gave no name at all.
    Unnamed,
    /// The name is that of no program.
    Unknown(String),
}

/// The file that was started, as the kernel was told to: still the link and not what it points to.
pub fn executed_file() -> PathBuf {
    PathBuf::from(OsStr::from_bytes(rustix::param::linux_execfn().to_bytes()))
}

/// Decides by `name`, the first of the words that the program was started with. Where that is no name of ours, the file that was started and
/// the links on its way decide: somebody may have made a link of another name to a program's, or may have chosen the first word freely.
pub fn choose(name: Option<&OsStr>, executed: &Path) -> Start {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Start::Unnamed;
    };
    let given = [Path::new(name), executed];
    for place in given.into_iter().map(Path::to_owned).chain(links(executed)) {
        if let Some(program) = last_word(&place).and_then(find) {
            return Start::Program(program);
        }
    }
    // A link of a wrong name to the file itself is a mistake that is better told.
    if given.into_iter().any(|place| last_word(place) == Some(OWN_NAME)) {
        return Start::Own;
    }
    Start::Unknown(name.to_string_lossy().chars().take(SHOWN_CHARS).collect())
}

fn last_word(place: &Path) -> Option<&str> {
    place.file_name().and_then(OsStr::to_str)
}

/// Where a link points to, and what that points to, and so on.
fn links(start: &Path) -> impl Iterator<Item = PathBuf> {
    let next = |place: &PathBuf| {
        let target = std::fs::read_link(place).ok()?;
        Some(place.parent().unwrap_or(Path::new("")).join(target))
    };
    std::iter::successors(next(&start.to_owned()), next).take(LINKS_MAX)
}
