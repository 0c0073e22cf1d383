// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Removing trees that the standard library cannot: deeper than descriptors reach, or without the right to write.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use crate::tree_compare::{names_of, open_folder};

/// A temporary folder that may hold any tree.
pub struct TestFolder {
    guard: Option<tempfile::TempDir>,
    path: PathBuf,
}

impl TestFolder {
    /// A new empty folder.
    pub fn new() -> io::Result<Self> {
        Self::guarded(tempfile::tempdir()?)
    }

    /// A new empty folder in another one, for a test that needs its file system.
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        Self::guarded(tempfile::tempdir_in(parent)?)
    }

    fn guarded(guard: tempfile::TempDir) -> io::Result<Self> {
        let path = guard.path().to_owned();
        Ok(Self {
            guard: Some(guard),
            path,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            eprintln!("{} was not removed: {error}", self.path.display());
        }
        drop(self.guard.take());
    }
}

/// Removes everything below `root`, and `root`.
pub fn remove_tree(root: &Path) -> io::Result<()> {
    let mut folder = open_for_removal(rustix::fs::CWD, root)?;
    // One descriptor whatever the depth: down by name, up by `..`.
    let mut depth = 0_u64;
    loop {
        match remove_files_and_find_folder(&folder)? {
            Some(name) => {
                folder = open_for_removal(&folder, Path::new(&name))?;
                depth += 1;
            }
            None if depth == 0 => break,
            None => {
                folder = open_folder(&folder, "..")?;
                depth -= 1;
            }
        }
    }
    std::fs::remove_dir(root)
}

fn open_for_removal(parent: impl std::os::fd::AsFd, name: &Path) -> io::Result<OwnedFd> {
    let path = rustix::fs::openat(
        &parent,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW,
        Mode::empty(),
    )?;
    // Without these rights nobody but root can empty it; a failure shows below.
    let _ = rustix::fs::chmodat(&parent, name, Mode::RWXU, AtFlags::empty());
    drop(path);
    open_folder(&parent, name)
}

fn remove_files_and_find_folder(folder: &OwnedFd) -> io::Result<Option<std::ffi::OsString>> {
    use std::os::unix::ffi::OsStringExt;
    for name in names_of(folder)? {
        let name = std::ffi::OsString::from_vec(name);
        let status = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
            rustix::fs::unlinkat(folder, &name, AtFlags::empty())?;
            continue;
        }
        match rustix::fs::unlinkat(folder, &name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => return Ok(Some(name)),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(None)
}
