// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What one `statx` says about an entry.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Statx, StatxAttributes, makedev};

use crate::format::tree::EntryBody;

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character device with its numbers.
    CharDevice {
        /// The driver.
        major: u32,
        /// The device within the driver.
        minor: u32,
    },
    /// A block device with its numbers.
    BlockDevice {
        /// The driver.
        major: u32,
        /// The device within the driver.
        minor: u32,
    },
}

impl EntryKind {
    /// Whether a stored entry is of this type; the numbers of a device do not count.
    pub fn is_kind_of(self, body: &EntryBody) -> bool {
        matches!(
            (self, body),
            (Self::File, EntryBody::File { .. })
                | (Self::Directory, EntryBody::Directory { .. })
                | (Self::Symlink, EntryBody::Symlink { .. })
                | (Self::Fifo, EntryBody::Fifo)
                | (Self::Socket, EntryBody::Socket)
                | (Self::CharDevice { .. }, EntryBody::CharDevice { .. })
                | (Self::BlockDevice { .. }, EntryBody::BlockDevice { .. })
        )
    }
}

/// The metadata of an entry that costs one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryStat {
    /// The type of the entry.
    pub kind: EntryKind,
    /// The permission bits with set-id and sticky: the lower 12 bits.
    pub mode: u16,
    /// The numeric owner.
    pub uid: u32,
    /// The numeric group.
    pub gid: u32,
    /// The length in bytes; of a link, of its target's name.
    pub size: u64,
    /// What is really allocated, in units of 512 bytes.
    pub blocks_512: u64,
    /// How many names the inode has.
    pub link_count: u32,
    /// The inode number, unique within `device`.
    pub inode: u64,
    /// The device that holds the entry.
    pub device: u64,
    /// When the content changed: seconds since 1970, may be negative.
    pub mtime_seconds: i64,
    /// The nanoseconds within that second.
    pub mtime_nanoseconds: u32,
    /// When the content or the metadata changed.
    pub ctime_seconds: i64,
    /// The nanoseconds within that second.
    pub ctime_nanoseconds: u32,
    /// Whether the file system carries the "no dump" mark (`chattr +d`).
    pub nodump: bool,
}

impl EntryStat {
    /// Whether the open file has another modification time than it had here.
    pub fn is_written_since(&self, file: impl AsFd) -> bool {
        rustix::fs::fstat(file).is_ok_and(|now| {
            now.st_mtime != self.mtime_seconds || now.st_mtime_nsec != u64::from(self.mtime_nanoseconds)
        })
    }

    /// Reads the answer of the kernel; `None` for a type that Linux does not have today.
    pub(super) fn from_statx(statx: &Statx) -> Option<Self> {
        let (major, minor) = (statx.stx_rdev_major, statx.stx_rdev_minor);
        let kind = match FileType::from_raw_mode(u32::from(statx.stx_mode)) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            FileType::Unknown => return None,
        };
        Some(Self {
            kind,
            mode: statx.stx_mode & 0o7777,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            size: statx.stx_size,
            blocks_512: statx.stx_blocks,
            link_count: statx.stx_nlink,
            inode: statx.stx_ino,
            device: makedev(statx.stx_dev_major, statx.stx_dev_minor),
            mtime_seconds: statx.stx_mtime.tv_sec,
            mtime_nanoseconds: statx.stx_mtime.tv_nsec,
            ctime_seconds: statx.stx_ctime.tv_sec,
            ctime_nanoseconds: statx.stx_ctime.tv_nsec,
            nodump: statx.stx_attributes.contains(StatxAttributes::NODUMP),
        })
    }

    /// Whether nobody may write, which is what the attribute `ReadOnly` means here. It looks at the file only: the
    /// answer must not depend on which user runs the backup.
    pub fn is_read_only(&self) -> bool {
        self.mode & 0o222 == 0
    }

    /// Whether fewer bytes are allocated than the size says, so that looking for holes can pay.
    pub fn may_have_holes(&self) -> bool {
        self.blocks_512.saturating_mul(512) < self.size
    }
}

/// Whether a name has the attribute `Hidden`: on Linux, a leading dot.
pub fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}
