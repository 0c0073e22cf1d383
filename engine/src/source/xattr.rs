// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Extended attributes of an entry, in every namespace that this process may read.
//!
//! POSIX ACLs (`system.posix_acl_*`), file capabilities (`security.capability`), labels and user attributes are all
//! read as the raw bytes that the kernel stores. Most entries have none, and those cost one system call.

use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

use super::directory::SourceDirectory;
use super::error::{SourceError, SourceErrorKind};

/// The kernel's limit for the names of one entry, and for one value.
const KERNEL_BYTES_MAX: usize = 64 * 1024;
/// The first try for the names. The kernel allocates what it is offered, so the usual case stays small.
const NAMES_FIRST_BYTES: usize = 1024;
/// The first try for a value.
const VALUE_FIRST_BYTES: usize = 512;
/// The most that the attributes of one entry may hold together; some file systems have no limit of their own.
pub const XATTRS_TOTAL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// The full name with its namespace, such as `user.comment`.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// The extended attributes of one entry, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XattrSet {
    /// What could be read.
    pub attributes: Vec<Xattr>,
    /// Names that are listed but may not be read by this process.
    pub unreadable: Vec<Vec<u8>>,
}

/// The memory that reading needs over and over; one for each walking thread.
#[derive(Debug, Default)]
pub struct XattrBuffer {
    names: Vec<u8>,
    value: Vec<u8>,
}

impl SourceDirectory {
    /// Reads the attributes of an entry without opening it; of a link, its own.
    pub fn read_xattrs(&self, name: &[u8], buffer: &mut XattrBuffer) -> Result<XattrSet, SourceError> {
        let path = self.proc_path(name);
        let outcome = read_set(
            buffer,
            |list| llistxattr(path.as_slice(), spare_capacity(list)),
            |attribute, value| lgetxattr(path.as_slice(), attribute, spare_capacity(value)),
        );
        outcome.map_err(|errno| self.explain(name, errno))
    }

    /// Reads the attributes of this folder itself.
    pub fn read_own_xattrs(&self, buffer: &mut XattrBuffer) -> Result<XattrSet, SourceError> {
        match read_open_xattrs(self, buffer) {
            // A folder that was opened only to pass it cannot be asked by descriptor.
            Err(error) if error.source.raw_os_error() == Some(Errno::BADF.raw_os_error()) => {
                self.read_xattrs(b"", buffer)
            }
            outcome => outcome,
        }
    }

    /// Lists only the names of the attributes of an entry and tells whether one of `wanted` is among them.
    pub fn has_any_xattr(
        &self,
        name: &[u8],
        wanted: &[&[u8]],
        buffer: &mut XattrBuffer,
    ) -> Result<bool, SourceError> {
        let path = self.proc_path(name);
        list_names(&mut buffer.names, &|list| {
            llistxattr(path.as_slice(), spare_capacity(list))
        })
        .map_err(|errno| self.explain(name, errno))?;
        Ok(split_names(&buffer.names).any(|name| wanted.contains(&name)))
    }

    /// Tells an entry that is gone from a machine without `/proc`, where only open files can be asked.
    fn explain(&self, name: &[u8], errno: Errno) -> SourceError {
        if errno == Errno::NOENT && self.stat(name).is_ok() {
            let text = "extended attributes need a mounted /proc";
            return SourceError::other(name, SourceErrorKind::Io, text);
        }
        SourceError::from_errno(name, errno)
    }
}

/// Reads the attributes of an open file or folder.
pub fn read_open_xattrs(open: impl AsFd, buffer: &mut XattrBuffer) -> Result<XattrSet, SourceError> {
    let descriptor = open.as_fd();
    let outcome = read_set(
        buffer,
        |list| flistxattr(descriptor, spare_capacity(list)),
        |attribute, value| fgetxattr(descriptor, attribute, spare_capacity(value)),
    );
    outcome.map_err(|errno| SourceError::from_errno(b"", errno))
}

fn read_set(
    buffer: &mut XattrBuffer,
    list: impl Fn(&mut Vec<u8>) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut Vec<u8>) -> Result<usize, Errno>,
) -> Result<XattrSet, Errno> {
    let XattrBuffer { names, value } = buffer;
    list_names(names, &list)?;
    let mut set = XattrSet::default();
    let mut total_bytes = 0;
    for name in split_names(names) {
        match fill(value, VALUE_FIRST_BYTES, &|value| get(name, value)) {
            Ok(()) => {
                total_bytes += name.len() + value.len();
                if total_bytes > XATTRS_TOTAL_BYTES_MAX {
                    return Err(Errno::TOOBIG);
                }
                set.attributes.push(Xattr {
                    name: name.to_vec(),
                    value: value.clone(),
                });
            }
            // Removed since it was listed, or listed by a file system that cannot read it back.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(Errno::ACCESS | Errno::PERM) => set.unreadable.push(name.to_vec()),
            Err(errno) => return Err(errno),
        }
    }
    set.attributes.sort_unstable();
    Ok(set)
}

fn list_names(
    names: &mut Vec<u8>,
    list: &impl Fn(&mut Vec<u8>) -> Result<usize, Errno>,
) -> Result<(), Errno> {
    match fill(names, NAMES_FIRST_BYTES, list) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            names.clear();
            Ok(())
        }
        outcome => outcome,
    }
}

/// Calls with a small buffer first, and with the kernel's limit when that was too small.
fn fill(
    buffer: &mut Vec<u8>,
    first_bytes: usize,
    call: &impl Fn(&mut Vec<u8>) -> Result<usize, Errno>,
) -> Result<(), Errno> {
    buffer.clear();
    // A buffer that once grew is given back, because the kernel allocates what it is offered.
    buffer.shrink_to(first_bytes);
    buffer.reserve_exact(first_bytes);
    match call(buffer) {
        Err(Errno::RANGE) => {
            buffer.clear();
            buffer.reserve_exact(KERNEL_BYTES_MAX);
            call(buffer).map(drop)
        }
        outcome => outcome.map(drop),
    }
}

fn split_names(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    names.split(|&byte| byte == 0).filter(|name| !name.is_empty())
}
