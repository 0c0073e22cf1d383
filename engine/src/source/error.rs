// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can go wrong with one entry of the source, without ending the run.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// One entry that could not be read as asked.
///
/// A [`super::SourceDirectory`] knows only names, not where it hangs in the tree: its errors carry the bare name, and
/// the walker, which holds the path anyway, puts it in front with [`SourceError::below`].
#[derive(Debug, thiserror::Error)]
#[error("{kind} {}: {source}", display_path(.path))]
pub struct SourceError {
    /// The entry, as the raw bytes of its name or path.
    pub path: Vec<u8>,
    /// What kind of trouble it is.
    pub kind: SourceErrorKind,
    /// What the system said.
    pub source: io::Error,
}

/// The kinds of trouble that a caller treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceErrorKind {
    /// The permissions forbid it; it will fail again until somebody changes them.
    Unreadable,
    /// The entry was there when the folder was listed and is gone now.
    Vanished,
    /// The name now belongs to another type of entry than before.
    ChangedType,
    /// Another process holds an exclusive advisory lock.
    Locked,
    /// Anything else that the file system reports.
    Io,
}

impl fmt::Display for SourceErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unreadable => "no permission to read",
            Self::Vanished => "entry disappeared while it was read:",
            Self::ChangedType => "entry changed its type while it was read:",
            Self::Locked => "locked by another process (use ignore-advisory-locking to read it anyway):",
            Self::Io => "cannot read",
        })
    }
}

impl SourceError {
    /// Makes the error of a system call on `name`.
    pub(super) fn from_errno(name: &[u8], errno: Errno) -> Self {
        let kind = match errno {
            Errno::ACCESS | Errno::PERM => SourceErrorKind::Unreadable,
            Errno::NOENT | Errno::STALE => SourceErrorKind::Vanished,
            Errno::NOTDIR | Errno::LOOP | Errno::ISDIR | Errno::NXIO => SourceErrorKind::ChangedType,
            _ => SourceErrorKind::Io,
        };
        Self {
            path: name.to_vec(),
            kind,
            source: errno.into(),
        }
    }

    /// Makes an error that no system call reported.
    pub fn other(name: &[u8], kind: SourceErrorKind, text: &'static str) -> Self {
        Self {
            path: name.to_vec(),
            kind,
            source: io::Error::other(text),
        }
    }

    /// Puts the path of the folder in front of the name.
    #[must_use]
    pub fn below(mut self, directory: &[u8]) -> Self {
        let mut path = Vec::with_capacity(directory.len() + 1 + self.path.len());
        path.extend_from_slice(directory);
        if !directory.ends_with(b"/") && !self.path.is_empty() {
            path.push(b'/');
        }
        path.append(&mut self.path);
        self.path = path;
        self
    }
}

/// Shows a path on one line: readable text stays, control characters are escaped, other bytes become U+FFFD.
pub fn display_path(path: &[u8]) -> impl fmt::Display + '_ {
    struct Shown<'a>(&'a [u8]);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            for character in String::from_utf8_lossy(self.0).chars() {
                if character.is_control() {
                    write!(formatter, "{}", character.escape_default())?;
                } else {
                    write!(formatter, "{character}")?;
                }
            }
            Ok(())
        }
    }
    Shown(path)
}
