// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Owner, attributes, mode and times of a restored entry, in the one order in which none undoes another:
//! a change of owner clears set-user-id bits and capabilities, so attributes and mode follow it; times come last.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::RestoreOptions;
use crate::{
    format::tree::{EntryBody, TreeEntry},
    source::owner::OwnerNames,
};

/// Attributes that say who may do what; they go with the permissions.
const PERMISSION_XATTRS: [&[u8]; 3] = [
    b"system.posix_acl_access",
    b"system.posix_acl_default",
    b"security.capability",
];

/// Lists of rights; an entry without them must not keep those of what was there before or of the folder above.
const ACCESS_LISTS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// Sets metadata; one for each worker.
pub struct MetadataWriter {
    skip: bool,
    permissions: bool,
    symlinks: bool,
    names: OwnerNames,
}

impl MetadataWriter {
    /// A writer for the given options.
    pub fn new(options: &RestoreOptions) -> Self {
        Self {
            skip: options.skip_metadata,
            permissions: options.restore_permissions,
            symlinks: options.restore_symlink_metadata,
            names: OwnerNames::new(),
        }
    }

    /// The mode to make a file with: none too open while it is written, and the final one unless permissions are restored.
    pub fn mode_for_new_file(&self, entry: &TreeEntry) -> u32 {
        if self.permissions {
            0o600
        } else {
            (entry.mode & 0o666) | 0o600
        }
    }

    /// The same for a folder.
    pub fn mode_for_new_folder(&self, entry: Option<&TreeEntry>) -> u32 {
        match entry {
            Some(_) if self.permissions => 0o700,
            Some(entry) if !entry.no_metadata => (entry.mode & 0o777) | 0o700,
            _ => 0o777,
        }
    }

    /// Sets everything on an open file or folder. What cannot be set is told, and the rest is set all the same.
    pub fn apply_open(&mut self, open: BorrowedFd<'_>, entry: &TreeEntry, mut told: impl FnMut(String)) {
        if self.skip || entry.no_metadata {
            return;
        }
        let mut keeps_set_id = true;
        if self.permissions {
            let (uid, gid) = self.numbers(entry);
            if let Err(error) = rustix::fs::fchown(open, uid, gid) {
                keeps_set_id = false;
                told(failed("owner", error));
            }
        }
        if self.permissions {
            // A list of rights that the entry does not have would let in who was not to be let in; a folder also gives its own to what is made in it.
            for name in ACCESS_LISTS {
                if !entry.xattrs.iter().any(|(known, _)| known == name) {
                    match rustix::fs::fremovexattr(open, name) {
                        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::INVAL) => {}
                        Err(error) => told(failed_xattr(name, error)),
                    }
                }
            }
        }
        for (name, value) in self.xattrs(entry) {
            if let Err(error) = rustix::fs::fsetxattr(open, name, value, XattrFlags::empty()) {
                told(failed_xattr(name, error));
            }
        }
        if self.permissions
            && let Err(error) = rustix::fs::fchmod(open, mode(entry, keeps_set_id))
        {
            told(failed("mode", error));
        }
        if let Err(error) = rustix::fs::futimens(open, &times(entry)) {
            told(failed("times", error));
        }
    }

    /// Sets everything on a link, pipe, socket or device in `folder`.
    pub fn apply_named(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        entry: &TreeEntry,
        mut told: impl FnMut(String),
    ) {
        let is_link = matches!(entry.body, EntryBody::Symlink { .. });
        if self.skip || entry.no_metadata || (is_link && !self.symlinks) {
            return;
        }
        let mut keeps_set_id = true;
        if self.permissions {
            let (uid, gid) = self.numbers(entry);
            if let Err(error) = rustix::fs::chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                keeps_set_id = false;
                told(failed("owner", error));
            }
        }
        // There are no calls for these relative to a folder; the way through its descriptor comes to the same.
        let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        for (xattr, value) in self.xattrs(entry) {
            if let Err(error) = rustix::fs::lsetxattr(path.as_slice(), xattr, value, XattrFlags::empty()) {
                told(failed_xattr(xattr, error));
            }
        }
        if self.permissions
            && !is_link
            && let Err(error) = chmod_named(folder, name, mode(entry, keeps_set_id))
        {
            told(failed("mode", error));
        }
        if let Err(error) = rustix::fs::utimensat(folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW) {
            told(failed("times", error));
        }
    }

    /// Whether an existing file has the owner that the entry would give it.
    pub fn is_owner(&mut self, stat: &rustix::fs::Stat, entry: &TreeEntry) -> bool {
        let (uid, gid) = self.numbers(entry);
        uid.is_none_or(|uid| uid.as_raw() == stat.st_uid) && gid.is_none_or(|gid| gid.as_raw() == stat.st_gid)
    }

    /// Names win over numbers where this machine knows them: numbers differ between machines.
    fn numbers(&mut self, entry: &TreeEntry) -> (Option<Uid>, Option<Gid>) {
        let owner = &entry.owner;
        let known = |name: &[u8], id: Option<u32>, number: u32| {
            let id = if name.is_empty() { None } else { id };
            Some(id.unwrap_or(number)).filter(|number| *number != u32::MAX)
        };
        let uid = known(&owner.user, self.names.user_id(&owner.user), owner.uid);
        let gid = known(&owner.group, self.names.group_id(&owner.group), owner.gid);
        (uid.map(Uid::from_raw), gid.map(Gid::from_raw))
    }

    fn xattrs<'a>(&self, entry: &'a TreeEntry) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let permissions = self.permissions;
        entry
            .xattrs
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .filter(move |(name, _)| permissions || !PERMISSION_XATTRS.contains(name))
    }
}

/// Changes the mode of what has the name now, never of what a link leads to.
fn chmod_named(folder: BorrowedFd<'_>, name: &[u8], mode: Mode) -> Result<(), Errno> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let open = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&open)?.st_mode);
    if kind == rustix::fs::FileType::Symlink {
        return Err(Errno::LOOP);
    }
    let path = format!("/proc/self/fd/{}", open.as_fd().as_raw_fd());
    rustix::fs::chmodat(CWD, path, mode, AtFlags::empty())
}

/// A set-user-id bit is only right together with the owner it was given for.
fn mode(entry: &TreeEntry, keeps_set_id: bool) -> Mode {
    Mode::from_raw_mode(if keeps_set_id {
        entry.mode
    } else {
        entry.mode & 0o1777
    })
}

fn times(entry: &TreeEntry) -> Timestamps {
    let omit = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    };
    Timestamps {
        last_access: omit,
        last_modification: Timespec {
            tv_sec: entry.mtime.seconds,
            tv_nsec: entry.mtime.nanoseconds.into(),
        },
    }
}

fn failed(what: &str, error: Errno) -> String {
    format!("failed to set its {what}: {}", std::io::Error::from(error))
}

fn failed_xattr(name: &[u8], error: Errno) -> String {
    let name = String::from_utf8_lossy(name);
    format!(
        "failed to set its attribute {name}: {}",
        std::io::Error::from(error)
    )
}
