// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opening a regular file for reading, safely against whoever owns the folder.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use super::directory::{SourceDirectory, expect_file, open_quietly, stat_at};
use super::error::{SourceError, SourceErrorKind};
use super::metadata::EntryStat;

/// Whether a file that another process has locked is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdvisoryLocking {
    /// Take a shared lock while reading; a file under an exclusive lock is an error of kind `Locked`.
    #[default]
    Respect,
    /// Read whatever the locks say (`ignore-advisory-locking`).
    Ignore,
}

/// A regular file that is open for reading, with its metadata at that moment. Dropping it gives the lock back.
#[derive(Debug)]
pub struct SourceFile {
    /// The open file, at its beginning.
    pub file: File,
    /// What the open file itself says, so that it cannot belong to another file than the content.
    pub stat: EntryStat,
}

impl SourceDirectory {
    /// Opens a regular file of this folder.
    ///
    /// The entry may be replaced at any time by whoever may write to the folder. So links are not followed, a pipe
    /// in its place cannot make the call wait, and the type is checked on what was really opened.
    pub fn open_file(&self, name: &[u8], locking: AdvisoryLocking) -> Result<SourceFile, SourceError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor = match open_quietly(self.as_fd(), name, flags) {
            Err(Errno::AGAIN) => self.open_leased_file(name),
            outcome => outcome.map_err(|errno| SourceError::from_errno(name, errno)),
        }?;
        finish_open(name, descriptor, locking)
    }

    /// Opens the file that a link leads to, for those who want links followed.
    pub fn open_file_followed(
        &self,
        name: &[u8],
        locking: AdvisoryLocking,
    ) -> Result<SourceFile, SourceError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor =
            open_quietly(self.as_fd(), name, flags).map_err(|errno| SourceError::from_errno(name, errno))?;
        finish_open(name, descriptor, locking)
    }

    /// Opens a file on which another process holds a lease (Samba does): opening must wait until the lease is given
    /// back, which the kernel enforces. The wait happens on a descriptor that is known to be a regular file.
    fn open_leased_file(&self, name: &[u8]) -> Result<OwnedFd, SourceError> {
        let in_error = |errno| SourceError::from_errno(name, errno);
        let place = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = openat(self.as_fd(), name, place, Mode::empty()).map_err(in_error)?;
        expect_file(name, &stat_at(place.as_fd(), b"")?)?;
        let path = format!("/proc/self/fd/{}", place.as_raw_fd());
        open_quietly(CWD, path.as_bytes(), OFlags::RDONLY | OFlags::CLOEXEC).map_err(in_error)
    }
}

fn finish_open(
    name: &[u8],
    descriptor: OwnedFd,
    locking: AdvisoryLocking,
) -> Result<SourceFile, SourceError> {
    let stat = stat_at(descriptor.as_fd(), b"").map_err(|error| error.below(name))?;
    expect_file(name, &stat)?;
    if locking == AdvisoryLocking::Respect {
        match flock(&descriptor, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let source = Errno::WOULDBLOCK.into();
                return Err(SourceError {
                    path: name.to_vec(),
                    kind: SourceErrorKind::Locked,
                    source,
                });
            }
            // Some network file systems cannot lock at all, or not a file that is open for reading only. Nobody
            // can hold a lock there that would be seen, so there is nothing to respect.
            Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK | Errno::INVAL | Errno::BADF) => {}
            Err(errno) => return Err(SourceError::from_errno(name, errno)),
        }
    }
    Ok(SourceFile {
        file: File::from(descriptor),
        stat,
    })
}
