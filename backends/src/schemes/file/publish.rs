// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writing one file so that it appears whole, never replaces another, and survives power loss.

use std::os::fd::AsFd;

use duplicati_engine::storage::{StoreError, StoreErrorKind};
use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::errors::Failure;
use crate::schemes::names;

/// Writes `content` as a new file of `folder`.
pub(super) fn put_file(
    folder: &OwnedFd,
    file_name: &str,
    content: &[u8],
    failure: &Failure,
) -> Result<(), StoreError> {
    // Only to save the transfer in the common case; the publication below decides.
    if rustix::fs::statat(folder, file_name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(already_exists_durably(folder, failure));
    }
    let temporary =
        Temporary::create(folder.as_fd(), file_name).map_err(|errno| failure.from_errno(errno))?;
    temporary
        .write_durably(content)
        .map_err(|errno| failure.from_errno(errno))?;
    temporary
        .publish(file_name, failure)
        .map_err(|error| match error.kind {
            StoreErrorKind::AlreadyExists => already_exists_durably(folder, failure),
            _ => error,
        })?;
    // The object is visible by now. If this fails the caller learns that its durability is not known.
    sync_folder(folder).map_err(|errno| failure.from_errno(errno))
}

fn already_exists(failure: &Failure) -> StoreError {
    failure.because(StoreErrorKind::AlreadyExists, "the name exists already")
}

/// Callers act on the answer that a name is taken (a fence, an upload that was repeated), so it must stay true after power
/// loss; the one who took it may not have synced the folder yet.
fn already_exists_durably(folder: &OwnedFd, failure: &Failure) -> StoreError {
    match sync_folder(folder) {
        Ok(()) => already_exists(failure),
        Err(errno) => failure.from_errno(errno),
    }
}

/// Makes the entries of a folder durable.
pub(super) fn sync_folder(folder: &OwnedFd) -> Result<(), Errno> {
    match retry_interrupted(|| rustix::fs::fsync(folder)) {
        // Some network file systems cannot do this to folders and have their entries on the server already.
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        result => result,
    }
}

fn retry_interrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// A file under its temporary name; the name goes when this is dropped, whatever happened.
struct Temporary<'a> {
    folder: BorrowedFd<'a>,
    name: String,
    file: OwnedFd,
    /// Set once a rename took the temporary name away.
    is_moved: std::cell::Cell<bool>,
}

impl<'a> Temporary<'a> {
    fn create(folder: BorrowedFd<'a>, file_name: &str) -> Result<Self, Errno> {
        let name = names::temporary(file_name);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = retry_interrupted(|| rustix::fs::openat(folder, &name, flags, Mode::RUSR | Mode::WUSR))?;
        Ok(Self {
            folder,
            name,
            file,
            is_moved: std::cell::Cell::new(false),
        })
    }

    fn write_durably(&self, mut content: &[u8]) -> Result<(), Errno> {
        while !content.is_empty() {
            match retry_interrupted(|| rustix::io::write(&self.file, content))? {
                // A file that takes nothing and reports nothing would be an endless loop.
                0 => return Err(Errno::IO),
                written => content = content.get(written..).unwrap_or_default(),
            }
        }
        retry_interrupted(|| rustix::fs::fdatasync(&self.file))
    }

    /// Gives the file its name, unless the name exists.
    fn publish(&self, file_name: &str, failure: &Failure) -> Result<(), StoreError> {
        match self.rename_without_replacing(file_name) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(already_exists(failure)),
            Err(Errno::INVAL | Errno::NOSYS) => self.publish_by_link(file_name, failure),
            Err(errno) => Err(failure.from_errno(errno)),
        }
    }

    fn rename_without_replacing(&self, file_name: &str) -> Result<(), Errno> {
        let flags = RenameFlags::NOREPLACE;
        retry_interrupted(|| {
            rustix::fs::renameat_with(self.folder, &self.name, self.folder, file_name, flags)
        })?;
        self.is_moved.set(true);
        Ok(())
    }

    /// For file systems without an exclusive rename (NFS): a hard link is exclusive everywhere.
    fn publish_by_link(&self, file_name: &str, failure: &Failure) -> Result<(), StoreError> {
        let flags = AtFlags::empty();
        match retry_interrupted(|| rustix::fs::linkat(self.folder, &self.name, self.folder, file_name, flags)) {
            Ok(()) => Ok(()),
            // NFS repeats a request whose answer was lost, and then refuses its own link.
            Err(Errno::EXIST) if self.is_also_named(file_name) => Ok(()),
            Err(Errno::EXIST) => Err(already_exists(failure)),
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => Err(failure.because(
                StoreErrorKind::Other,
                "this file system can neither rename without replacing nor make hard links, so that two writers could \
                 destroy each other's objects; choose a folder on another file system",
            )),
            Err(errno) => Err(failure.from_errno(errno)),
        }
    }

    fn is_also_named(&self, file_name: &str) -> bool {
        let other = rustix::fs::statat(self.folder, file_name, AtFlags::SYMLINK_NOFOLLOW);
        match (rustix::fs::fstat(&self.file), other) {
            (Ok(ours), Ok(other)) => (ours.st_dev, ours.st_ino) == (other.st_dev, other.st_ino),
            _ => false,
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.is_moved.get() {
            return;
        }
        if let Err(errno) = rustix::fs::unlinkat(self.folder, &self.name, AtFlags::empty())
            && errno != Errno::NOENT
        {
            tracing::warn!(name = self.name, %errno, "a temporary file could not be removed; it is harmless waste");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure {
            operation: "put",
            object: "x".to_owned(),
            location: "file:///x".to_owned(),
            path: "x".into(),
        }
    }

    fn open(path: &std::path::Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn link_publishes_where_exclusive_rename_is_missing_and_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let fd = open(folder.path());
        for (content, wins) in [(b"first", true), (b"later", false)] {
            let temporary = Temporary::create(fd.as_fd(), "x").unwrap();
            temporary.write_durably(content).unwrap();
            let result = temporary.publish_by_link("x", &failure());
            assert_eq!(result.is_ok(), wins, "{result:?}");
            if let Err(error) = result {
                assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
            }
        }
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["x"]);
        assert_eq!(std::fs::read(folder.path().join("x")).unwrap(), b"first");
    }

    #[test]
    fn repeated_link_of_the_same_file_counts_as_success() {
        let folder = tempfile::tempdir().unwrap();
        let fd = open(folder.path());
        let temporary = Temporary::create(fd.as_fd(), "x").unwrap();
        temporary.write_durably(b"content").unwrap();
        temporary.publish_by_link("x", &failure()).unwrap();
        temporary.publish_by_link("x", &failure()).unwrap();
    }
}
