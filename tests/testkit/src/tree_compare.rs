// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Are two trees the same? Strict, and independent of the engine.
//!
//! Both trees are walked in step, relative to folder descriptors, so that paths may be longer than the kernel takes in one
//! call. One descriptor per tree is open at a time: down by name, up by `..`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fmt, io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat},
};

/// Kernel limits for attribute values and lists of names.
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// How two trees differ in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DifferenceKind {
    OnlyInFirst,
    OnlyInSecond,
    FileKind,
    Size,
    Content,
    Mode,
    Uid,
    Gid,
    ModifiedTime,
    Xattrs,
    HardLinks,
    Device,
    Holes,
    LinkTarget,
    /// One of the two could not be read, so nothing is known.
    Unreadable,
}

/// One difference; `path` is relative to the roots and empty for the roots themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub path: PathBuf,
    pub kind: DifferenceKind,
    pub detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {:?} ({})", self.path, self.kind, self.detail)
    }
}

/// What is not compared.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// User and group; for tests without root.
    pub ignore_owner: bool,
    /// Modification times.
    pub ignore_times: bool,
    /// Metadata of the two roots themselves.
    pub ignore_root: bool,
    /// By how much a file of the second tree may take more room than in the first; file systems round and preallocate.
    pub holes_tolerance_bytes: u64,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            ignore_owner: false,
            ignore_times: false,
            ignore_root: false,
            holes_tolerance_bytes: 64 * 1024,
        }
    }
}

/// All differences between the original `first` and the copy `second`; owners only as root.
pub fn compare_trees(first: &Path, second: &Path) -> Vec<Difference> {
    let options = CompareOptions {
        ignore_owner: !rustix::process::geteuid().is_root(),
        ..CompareOptions::default()
    };
    compare_trees_with(first, second, &options)
}

/// All differences, with options.
pub fn compare_trees_with(first: &Path, second: &Path, options: &CompareOptions) -> Vec<Difference> {
    let mut comparison = Comparison {
        options,
        path: PathBuf::new(),
        differences: Vec::new(),
        first_links: HashMap::new(),
        second_links: HashMap::new(),
    };
    if let Err(error) = comparison.walk(first, second) {
        comparison.report(DifferenceKind::Unreadable, error.to_string());
    }
    comparison.differences
}

/// Fails with the first differences in the message.
///
/// # Panics
/// When the trees differ.
#[track_caller]
pub fn assert_same_trees(first: &Path, second: &Path, options: &CompareOptions) {
    let differences = compare_trees_with(first, second, options);
    let shown: Vec<String> = differences.iter().take(20).map(ToString::to_string).collect();
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        shown.join("\n")
    );
}

/// Where the files with several names were first seen, by device and inode.
type Links = HashMap<(u64, u64), PathBuf>;

struct Comparison<'a> {
    options: &'a CompareOptions,
    path: PathBuf,
    differences: Vec<Difference>,
    first_links: Links,
    second_links: Links,
}

impl Comparison<'_> {
    fn report(&mut self, kind: DifferenceKind, detail: impl Into<String>) {
        self.differences.push(Difference {
            path: self.path.clone(),
            kind,
            detail: detail.into(),
        });
    }

    fn report_unequal<T: PartialEq + fmt::Debug>(&mut self, kind: DifferenceKind, first: &T, second: &T) {
        if first != second {
            self.report(kind, format!("{first:?} and {second:?}"));
        }
    }

    fn walk(&mut self, first: &Path, second: &Path) -> io::Result<()> {
        let mut first = open_folder(rustix::fs::CWD, first)?;
        let mut second = open_folder(rustix::fs::CWD, second)?;
        if !self.options.ignore_root {
            self.compare_entry(&first, &second, OsStr::new("."))?;
        }
        // For each open level, the folders still to be entered.
        let mut levels = vec![self.compare_level(&first, &second)?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.pop() {
                self.path.push(&name);
                match (open_folder(&first, &name), open_folder(&second, &name)) {
                    (Ok(first_child), Ok(second_child)) => {
                        (first, second) = (first_child, second_child);
                        levels.push(self.compare_level(&first, &second)?);
                    }
                    (first_child, second_child) => {
                        let detail = format!("{:?} and {:?}", first_child.err(), second_child.err());
                        self.report(DifferenceKind::Unreadable, detail);
                        self.path.pop();
                    }
                }
            } else {
                levels.pop();
                if !levels.is_empty() {
                    (first, second) = (open_folder(&first, "..")?, open_folder(&second, "..")?);
                    self.path.pop();
                }
            }
        }
        Ok(())
    }

    /// Compares the entries of two folders; returns the folders that both have, last name first.
    fn compare_level(&mut self, first: &OwnedFd, second: &OwnedFd) -> io::Result<Vec<OsString>> {
        let first_names: BTreeSet<Vec<u8>> = names_of(first)?.into_iter().collect();
        let second_names: BTreeSet<Vec<u8>> = names_of(second)?.into_iter().collect();
        let mut folders = Vec::new();
        for bytes in first_names.union(&second_names) {
            let name = OsString::from_vec(bytes.clone());
            self.path.push(&name);
            if !second_names.contains(bytes) {
                self.report(DifferenceKind::OnlyInFirst, "");
            } else if !first_names.contains(bytes) {
                self.report(DifferenceKind::OnlyInSecond, "");
            } else if self.compare_entry(first, second, &name)? {
                folders.push(name);
            }
            self.path.pop();
        }
        folders.reverse();
        Ok(folders)
    }

    /// Compares one entry; true when it is a folder in both.
    fn compare_entry(&mut self, first: &OwnedFd, second: &OwnedFd, name: &OsStr) -> io::Result<bool> {
        let first_status = rustix::fs::statat(first, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let second_status = rustix::fs::statat(second, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(first_status.st_mode);
        let second_kind = FileType::from_raw_mode(second_status.st_mode);
        if kind != second_kind {
            self.report_unequal(DifferenceKind::FileKind, &kind, &second_kind);
            return Ok(false);
        }
        self.compare_metadata(&first_status, &second_status);
        match (xattrs_of(first, name), xattrs_of(second, name)) {
            (Ok(first_xattrs), Ok(second_xattrs)) => self.compare_xattrs(&first_xattrs, &second_xattrs),
            (first_xattrs, second_xattrs) => {
                let detail = format!("{:?} and {:?}", first_xattrs.err(), second_xattrs.err());
                self.report(DifferenceKind::Unreadable, detail);
            }
        }
        match kind {
            FileType::Directory => return Ok(true),
            FileType::RegularFile => self.compare_files(first, second, name, &first_status, &second_status),
            FileType::Symlink => {
                let target = |folder: &OwnedFd| rustix::fs::readlinkat(folder, name, Vec::new());
                let (first_target, second_target) = (target(first)?, target(second)?);
                self.report_unequal(DifferenceKind::LinkTarget, &first_target, &second_target);
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                self.report_unequal(
                    DifferenceKind::Device,
                    &first_status.st_rdev,
                    &second_status.st_rdev,
                );
            }
            _ => {}
        }
        self.compare_links(&first_status, &second_status);
        Ok(false)
    }

    fn compare_metadata(&mut self, first: &Stat, second: &Stat) {
        let mode = |status: &Stat| format!("{:04o}", status.st_mode & 0o7777);
        self.report_unequal(DifferenceKind::Mode, &mode(first), &mode(second));
        if !self.options.ignore_owner {
            self.report_unequal(DifferenceKind::Uid, &first.st_uid, &second.st_uid);
            self.report_unequal(DifferenceKind::Gid, &first.st_gid, &second.st_gid);
        }
        if !self.options.ignore_times {
            let time = |status: &Stat| (status.st_mtime, status.st_mtime_nsec);
            self.report_unequal(DifferenceKind::ModifiedTime, &time(first), &time(second));
        }
    }

    fn compare_xattrs(&mut self, first: &Xattrs, second: &Xattrs) {
        let names: BTreeSet<_> = first.keys().chain(second.keys()).collect();
        for name in names {
            let (one, other) = (first.get(name), second.get(name));
            if one != other {
                let length = |value: Option<&Vec<u8>>| value.map(Vec::len);
                let name = String::from_utf8_lossy(name);
                let detail = format!("{name}: lengths {:?} and {:?}", length(one), length(other));
                self.report(DifferenceKind::Xattrs, detail);
            }
        }
    }

    fn compare_files(
        &mut self,
        first: &OwnedFd,
        second: &OwnedFd,
        name: &OsStr,
        first_status: &Stat,
        second_status: &Stat,
    ) {
        let allocated = |status: &Stat| u64::try_from(status.st_blocks).unwrap_or(0) * 512;
        let (first_allocated, second_allocated) = (allocated(first_status), allocated(second_status));
        if second_allocated > first_allocated + self.options.holes_tolerance_bytes {
            let detail = format!("{first_allocated} and {second_allocated} bytes allocated");
            self.report(DifferenceKind::Holes, detail);
        }
        if first_status.st_size != second_status.st_size {
            self.report_unequal(
                DifferenceKind::Size,
                &first_status.st_size,
                &second_status.st_size,
            );
            return;
        }
        match first_different_byte(first, second, name) {
            Ok(None) => {}
            Ok(Some(offset)) => self.report(DifferenceKind::Content, format!("from byte {offset}")),
            Err(error) => self.report(DifferenceKind::Unreadable, error.to_string()),
        }
    }

    /// Both copies of a file must have been met first under the same name.
    fn compare_links(&mut self, first: &Stat, second: &Stat) {
        if first.st_nlink <= 1 && second.st_nlink <= 1 {
            return;
        }
        let path = &self.path;
        let leader = |links: &mut Links, status: &Stat| {
            links
                .entry((status.st_dev, status.st_ino))
                .or_insert_with(|| path.clone())
                .clone()
        };
        let first_leader = leader(&mut self.first_links, first);
        let second_leader = leader(&mut self.second_links, second);
        self.report_unequal(DifferenceKind::HardLinks, &first_leader, &second_leader);
    }
}

/// Opens a folder without following a link in its place.
pub(crate) fn open_folder(parent: impl AsFd, name: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name.as_ref(), flags, Mode::empty())?)
}

/// The names in a folder, without the two dots.
pub(crate) fn names_of(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// All extended attributes of an entry, ACLs and capabilities among them.
fn xattrs_of(folder: &OwnedFd, name: &OsStr) -> io::Result<Xattrs> {
    // No call takes a folder and a name here; this path means the same and stays short.
    let path = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    let mut buffer = vec![0_u8; XATTR_BYTES_MAX];
    let length = match rustix::fs::llistxattr(&path, buffer.as_mut_slice()) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let names = buffer[..length].to_vec();
    let mut xattrs = Xattrs::new();
    for attribute in names
        .split(|byte| *byte == 0)
        .filter(|attribute| !attribute.is_empty())
    {
        let length = rustix::fs::lgetxattr(&path, OsStr::from_bytes(attribute), buffer.as_mut_slice())?;
        xattrs.insert(attribute.to_vec(), buffer[..length].to_vec());
    }
    Ok(xattrs)
}

fn first_different_byte(first: &OwnedFd, second: &OwnedFd, name: &OsStr) -> io::Result<Option<u64>> {
    const PIECE_BYTES: usize = 128 * 1024;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let first = rustix::fs::openat(first, name, flags, Mode::empty())?;
    let second = rustix::fs::openat(second, name, flags, Mode::empty())?;
    let (mut one, mut other) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut offset = 0;
    loop {
        let (one_length, other_length) = (
            read_full(&first, &mut one, offset)?,
            read_full(&second, &mut other, offset)?,
        );
        if one[..one_length] != other[..other_length] {
            let place = one[..one_length]
                .iter()
                .zip(&other[..other_length])
                .position(|(one, other)| one != other)
                .unwrap_or(one_length.min(other_length));
            return Ok(Some(offset + place as u64));
        }
        if one_length < PIECE_BYTES {
            return Ok(None);
        }
        offset += one_length as u64;
    }
}

fn read_full(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match rustix::io::pread(file, &mut buffer[length..], offset + length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
