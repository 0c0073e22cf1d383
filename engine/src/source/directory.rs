// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder of the source, held by descriptor.
//!
//! Everything below it is reached by name relative to the descriptor: a folder that is renamed during the walk stays
//! the same folder, nobody can put a link in its place, and the path may be longer than the kernel accepts in one call.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, readlinkat, statx};
use rustix::io::Errno;

use super::error::{SourceError, SourceErrorKind};
use super::listing::{DirectoryListing, ListingBuffer};
use super::metadata::{EntryKind, EntryStat};

/// The longest path that is given to the kernel in one call (it allows 4095 bytes).
const PATH_PART_BYTES_MAX: usize = 4000;

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open folder of the source.
#[derive(Debug)]
pub struct SourceDirectory {
    descriptor: OwnedFd,
}

/// What makes a folder the same folder after it was closed and opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirectoryIdentity {
    /// The device that holds it.
    pub device: u64,
    /// Its inode on that device.
    pub inode: u64,
}

impl SourceDirectory {
    /// Opens the root of a source. Links in the path are followed, the last one too: the user named it.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        Self::open_path(path, open_directory_at)
    }

    /// Opens a folder above a source, to which it is enough to be let through: others' home folders cannot be listed.
    pub fn open_way(path: &Path) -> Result<Self, SourceError> {
        Self::open_path(path, open_or_pass)
    }

    fn open_path(
        path: &Path,
        open_last: impl Fn(BorrowedFd<'_>, &[u8], OFlags) -> Result<OwnedFd, Errno>,
    ) -> Result<Self, SourceError> {
        let bytes = path.as_os_str().as_bytes();
        let mut rest = bytes;
        let mut reached: Option<OwnedFd> = None;
        loop {
            let (part, after) = split_path(rest);
            let base = reached.as_ref().map_or(CWD, |descriptor| descriptor.as_fd());
            let opened = if after.is_empty() {
                open_last(base, part, OFlags::empty())
            } else {
                open_or_pass(base, part, OFlags::empty())
            };
            let descriptor = opened.map_err(|errno| SourceError::from_errno(bytes, errno))?;
            if after.is_empty() {
                return Ok(Self { descriptor });
            }
            reached = Some(descriptor);
            rest = after;
        }
    }

    /// Opens a folder in this folder. A link is never followed.
    pub fn open_child(&self, name: &[u8]) -> Result<Self, SourceError> {
        open_directory_at(self.descriptor.as_fd(), name, OFlags::NOFOLLOW)
            .map(|descriptor| Self { descriptor })
            .map_err(|errno| SourceError::from_errno(name, errno))
    }

    /// Opens a folder in this folder unless it lies on another mount, which may not answer for a long time; none as well where the system refuses anything
    /// about it. A link is never followed.
    pub fn open_child_of_same_mount(&self, name: &[u8]) -> Option<Self> {
        let open = |more| {
            openat2(
                self.descriptor.as_fd(),
                name,
                DIRECTORY_FLAGS | OFlags::NOFOLLOW | more,
                Mode::empty(),
                ResolveFlags::NO_XDEV,
            )
        };
        match open(OFlags::NOATIME) {
            Err(Errno::PERM) => open(OFlags::empty()),
            outcome => outcome,
        }
        .ok()
        .map(|descriptor| Self { descriptor })
    }

    /// Opens the folder above, if it is still the expected one.
    ///
    /// With this a walker needs no descriptor for each level: it may close the folders above the one it reads, and
    /// come back to them. When the folder was moved meanwhile, the answer is [`SourceErrorKind::Vanished`].
    pub fn open_parent(&self, expected: DirectoryIdentity) -> Result<Self, SourceError> {
        let parent = open_or_pass(self.descriptor.as_fd(), b"..", OFlags::empty())
            .map(|descriptor| Self { descriptor })
            .map_err(|errno| SourceError::from_errno(b"..", errno))?;
        if parent.identity()? == expected {
            return Ok(parent);
        }
        Err(SourceError::other(
            b"..",
            SourceErrorKind::Vanished,
            "the folder was moved while it was read",
        ))
    }

    /// Returns what makes this folder the same folder later.
    pub fn identity(&self) -> Result<DirectoryIdentity, SourceError> {
        let stat = self.stat_self()?;
        Ok(DirectoryIdentity {
            device: stat.device,
            inode: stat.inode,
        })
    }

    /// Reads all names.
    pub fn list(&self, buffer: &mut ListingBuffer) -> Result<DirectoryListing, SourceError> {
        self.list_at_most(usize::MAX, buffer)
            .map(Option::unwrap_or_default)
    }

    /// Reads all names unless there are more than `names_max`.
    pub fn list_at_most(
        &self,
        names_max: usize,
        buffer: &mut ListingBuffer,
    ) -> Result<Option<DirectoryListing>, SourceError> {
        DirectoryListing::read(self.descriptor.as_fd(), names_max, buffer)
            .map_err(|errno| SourceError::from_errno(b"", errno))
    }

    /// Asks for the metadata of an entry; of a link, its own.
    pub fn stat(&self, name: &[u8]) -> Result<EntryStat, SourceError> {
        stat_at(self.descriptor.as_fd(), name)
    }

    /// Asks for the metadata of this folder.
    pub fn stat_self(&self) -> Result<EntryStat, SourceError> {
        stat_at(self.descriptor.as_fd(), b"")
    }

    /// Asks for the metadata of what a link leads to, for those who want links followed.
    pub fn stat_followed(&self, name: &[u8]) -> Result<EntryStat, SourceError> {
        statx(
            self.descriptor.as_fd(),
            name,
            AtFlags::NO_AUTOMOUNT,
            StatxFlags::BASIC_STATS,
        )
        .map_err(|errno| SourceError::from_errno(name, errno))
        .and_then(|answer| known_kind(name, EntryStat::from_statx(&answer)))
    }

    /// Reads where a link points, as raw bytes.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>, SourceError> {
        match readlinkat(self.descriptor.as_fd(), name, Vec::new()) {
            Ok(target) => Ok(target.into_bytes()),
            Err(Errno::INVAL) => Err(SourceError::other(
                name,
                SourceErrorKind::ChangedType,
                "it is no longer a symbolic link",
            )),
            Err(errno) => Err(SourceError::from_errno(name, errno)),
        }
    }

    /// Builds the path under which calls that know no descriptor find an entry.
    pub(super) fn proc_path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.descriptor.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }
}

impl AsFd for SourceDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Asks for the metadata of an entry, or with an empty name of the descriptor itself.
pub(super) fn stat_at(base: BorrowedFd<'_>, name: &[u8]) -> Result<EntryStat, SourceError> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    let answer = statx(base, name, flags, StatxFlags::BASIC_STATS)
        .map_err(|errno| SourceError::from_errno(name, errno))?;
    known_kind(name, EntryStat::from_statx(&answer))
}

fn known_kind(name: &[u8], stat: Option<EntryStat>) -> Result<EntryStat, SourceError> {
    stat.ok_or_else(|| {
        SourceError::other(
            name,
            SourceErrorKind::Io,
            "the file system reports an unknown type",
        )
    })
}

/// Returns an error unless the entry is of the kind that the caller is about to read.
pub(super) fn expect_file(name: &[u8], stat: &EntryStat) -> Result<(), SourceError> {
    if stat.kind == EntryKind::File {
        return Ok(());
    }
    Err(SourceError::other(
        name,
        SourceErrorKind::ChangedType,
        "it is no longer a regular file",
    ))
}

/// Opens without touching the access time where that is allowed: only the owner and root may ask for it.
pub(super) fn open_quietly(base: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    match openat(base, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(base, name, flags, Mode::empty()),
        outcome => outcome,
    }
}

fn open_directory_at(base: BorrowedFd<'_>, name: &[u8], more: OFlags) -> Result<OwnedFd, Errno> {
    open_quietly(base, name, DIRECTORY_FLAGS | more)
}

/// Opens a folder, or where it cannot be listed, a descriptor that only leads to what is in it.
fn open_or_pass(base: BorrowedFd<'_>, name: &[u8], more: OFlags) -> Result<OwnedFd, Errno> {
    match open_directory_at(base, name, more) {
        Err(Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
            openat(base, name, flags, Mode::empty())
        }
        outcome => outcome,
    }
}

/// Cuts off as many leading components as the kernel takes in one call.
fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= PATH_PART_BYTES_MAX {
        return (path, &[]);
    }
    match path[..PATH_PART_BYTES_MAX].iter().rposition(|&byte| byte == b'/') {
        Some(cut) if cut > 0 => {
            let rest = &path[cut..];
            let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
            (&path[..cut], &rest[slashes..])
        }
        // One component longer than any file system allows: let the kernel say so.
        _ => (path, &[]),
    }
}
