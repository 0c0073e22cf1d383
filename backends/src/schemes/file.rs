// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder of this machine as a target.
//!
//! How the promises of the port are kept: an object is written under a temporary name in the folder it belongs to, made
//! durable, and then given its name by a call that refuses to replace ([`publish`]). Folders are made durable as well, once
//! per folder and process. The root itself is made by `prepare` only: a `put` into a root that is gone (a disk that is not
//! mounted) must fail and not fill the disk below.
//!
//! Calls block, so each runs on tokio's blocking threads. A call whose future is dropped still runs to its end there.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use crate::{address::StoreAddress, registry::OpenError, schemes::names};

mod errors;
mod files;
mod place;
mod publish;
mod walk;

use errors::Failure;

/// Requests at once: enough to keep a disk busy while another one waits for its fsync.
const CONCURRENT_REQUESTS_MAX: usize = 16;

/// Makes the store of a `file` address.
pub fn open(address: &StoreAddress) -> Result<Arc<LocalStore>, OpenError> {
    let sub_folder = address.sub_folder()?;
    let invalid = |message: String| OpenError::InvalidPath {
        scheme: "file",
        path: address.path.to_string_lossy().into_owned(),
        message,
    };
    if address.path.as_encoded_bytes().contains(&0) {
        return Err(invalid("a path holds no zero byte".to_owned()));
    }
    let chosen = place::choose(address)?;
    // Absolute, so that a later change of the working folder does not move the repository.
    let mut root = std::path::absolute(chosen)
        .map_err(|error| invalid(format!("{error}; give the full path of a folder")))?;
    if let Some(folder) = sub_folder {
        root.push(folder);
    }
    let marker = address.options.text(place::MARKER);
    Ok(Arc::new(LocalStore::marked(root, marker)))
}

/// A target in a local folder.
pub struct LocalStore {
    folder: Arc<Folder>,
}

/// The root and what this process knows of it.
struct Folder {
    root: PathBuf,
    /// Folders below the root whose own entry this process has made durable. Another process may have made a folder and not
    /// yet synced its parent, so existence alone proves nothing.
    durable: Mutex<BTreeSet<String>>,
    /// A file of the user in the root by which the place is known.
    marker: Option<String>,
}

impl LocalStore {
    /// A store in `root`. Nothing is touched until the first call.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            folder: Arc::new(Folder {
                root: root.into(),
                durable: Mutex::new(BTreeSet::new()),
                marker: None,
            }),
        }
    }

    /// The same with a file in the root that is not foreign, because the user put it there to mark the place.
    fn marked(root: PathBuf, marker: Option<&str>) -> Self {
        Self {
            folder: Arc::new(Folder {
                root,
                durable: Mutex::new(BTreeSet::new()),
                marker: marker.map(str::to_owned),
            }),
        }
    }

    fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let folder = Arc::clone(&self.folder);
        Box::pin(async move {
            let for_error = Arc::clone(&folder);
            match tokio::task::spawn_blocking(move || work(&folder)).await {
                Ok(result) => result,
                // The runtime is going down, or the call panicked.
                Err(error) => Err(for_error
                    .failure(operation, "(any)")
                    .because(StoreErrorKind::Other, "the call was cut off")
                    .with_source(error)),
            }
        })
    }
}

impl Store for LocalStore {
    fn capability(&self) -> Capability {
        Capability {
            put_if_absent: true,
            range_reads: true,
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
        }
    }

    fn location(&self) -> String {
        self.folder.location()
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        let name = *name;
        self.run("put", move |folder| folder.put(&name, &content))
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        let name = *name;
        self.run("get", move |folder| folder.get(&name, range))
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        self.run("list", move |folder| folder.list(kind))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        let name = *name;
        self.run("delete", move |folder| folder.delete(&name))
    }

    fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
        self.run("prepare", move |folder| folder.prepare(create))
    }

    /// Only names of our exact grammar are touched; a writer that is still at work keeps its file young, and if it does lose it, its `put` fails and
    /// nothing else.
    fn remove_stale_temporaries(&self, older_than: i64) -> StoreFuture<'_, u64> {
        self.run("remove_stale_temporaries", move |folder| {
            folder.remove_stale_temporaries(older_than)
        })
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        self.run("list", |folder| folder.list_foreign_root())
    }
}

impl Folder {
    fn location(&self) -> String {
        format!("file://{}", self.root.display())
    }

    fn failure(&self, operation: &'static str, object: impl ToString) -> Failure {
        Failure {
            operation,
            object: object.to_string(),
            location: self.location(),
            path: self.root.clone(),
        }
    }

    /// Opens the root or a folder below it.
    fn open_folder(&self, folder: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.path_of(folder), flags, Mode::empty())
    }

    fn path_of(&self, relative: &str) -> PathBuf {
        if relative.is_empty() {
            self.root.clone()
        } else {
            self.root.join(relative)
        }
    }

    /// Opens the folder of an object for writing, makes it if need be, and sees to it that it survives power loss.
    fn open_folder_for_writing(&self, folder: &str, failure: &Failure) -> Result<OwnedFd, StoreError> {
        if !folder.is_empty() {
            let known = self.lock_durable().contains(folder);
            if !(known && self.path_of(folder).is_dir()) {
                self.make_durable_folder(folder, failure)?;
            }
        }
        self.open_folder(folder)
            .map_err(|errno| failure.at(self.path_of(folder)).from_errno(errno))
    }

    /// Makes each missing folder below the root, and syncs the parent of each.
    fn make_durable_folder(&self, folder: &str, failure: &Failure) -> Result<(), StoreError> {
        let mut parent = String::new();
        for component in folder.split('/') {
            let parent_path = self.path_of(&parent);
            let parent_fd = self
                .open_folder(&parent)
                .map_err(|errno| failure.at(&parent_path).from_errno(errno))?;
            match rustix::fs::mkdirat(&parent_fd, component, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failure.at(parent_path.join(component)).from_errno(errno)),
            }
            publish::sync_folder(&parent_fd).map_err(|errno| failure.at(&parent_path).from_errno(errno))?;
            if !parent.is_empty() {
                parent.push('/');
            }
            parent.push_str(component);
        }
        self.lock_durable().insert(folder.to_owned());
        Ok(())
    }

    fn lock_durable(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        // Each change is one call, so the set is whole even after a panic elsewhere.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, name: &ObjectName, content: &[u8]) -> Result<(), StoreError> {
        let path = name.to_string();
        let failure = self.failure("put", &path).at(self.path_of(&path));
        if content.is_empty() {
            return Err(failure.because(StoreErrorKind::Invalid, "an object is never empty"));
        }
        let (folder, file_name) = names::split(&path);
        let folder_fd = self.open_folder_for_writing(folder, &failure)?;
        publish::put_file(&folder_fd, file_name, content, &failure)
    }

    fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        let path = name.to_string();
        let failure = self.failure("get", &path).at(self.path_of(&path));
        // Not blocking: a pipe under an object's name must be an error and not a wait without end.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(&failure.path, flags, Mode::empty())
            .map_err(|errno| failure.from_errno(errno))?;
        let status = rustix::fs::fstat(&file).map_err(|errno| failure.from_errno(errno))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(failure.because(StoreErrorKind::Unreadable, "this is not a file; move it away"));
        }
        let size = u64::try_from(status.st_size).unwrap_or(0);
        let range = range.unwrap_or(0..size);
        let truncated = |stored: u64| {
            let message = format!("{stored} bytes stored, {range:?} wanted");
            failure.because(StoreErrorKind::Truncated, message)
        };
        // Checked before anything is allocated: a range from a damaged index may ask for any size.
        if range.start > range.end || range.end > size {
            return Err(truncated(size));
        }
        let length = usize::try_from(range.end - range.start).map_err(|_| truncated(size))?;
        let mut content = Vec::new();
        content.try_reserve_exact(length).map_err(|error| {
            failure
                .because(StoreErrorKind::Other, "not enough memory to hold the object")
                .with_source(error)
        })?;
        while content.len() < length {
            let offset = range.start + content.len() as u64;
            // `spare_capacity` may be more than was reserved; `truncate` below cuts what lies behind the range.
            match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut content), offset) {
                Ok(0) => return Err(truncated(offset)),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failure.from_errno(errno)),
            }
        }
        content.truncate(length);
        Ok(Bytes::from(content))
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let path = name.to_string();
        let failure = self.failure("delete", &path).at(self.path_of(&path));
        let (folder, file_name) = names::split(&path);
        let folder_fd = match self.open_folder(folder) {
            Ok(fd) => fd,
            // An absent folder holds nothing, but an absent root is a target that is not there.
            Err(Errno::NOENT) => return self.check_root(&failure),
            Err(errno) => return Err(failure.from_errno(errno)),
        };
        match rustix::fs::unlinkat(&folder_fd, file_name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(failure.from_errno(errno)),
        }
        // Manifests go before segments and segments before packs (S-1), also across power loss. Packs go last and in
        // great numbers, and one that comes back is only waste, so they are not waited for.
        if name.kind() != ObjectKind::Pack {
            publish::sync_folder(&folder_fd).map_err(|errno| failure.from_errno(errno))?;
        }
        Ok(())
    }

    fn check_root(&self, failure: &Failure) -> Result<(), StoreError> {
        match self.open_folder("") {
            Ok(_) => Ok(()),
            Err(errno) => Err(failure.at(&self.root).from_errno(errno)),
        }
    }

    fn prepare(&self, create: bool) -> Result<(), StoreError> {
        let failure = self.failure("prepare", "(root)");
        if !create {
            return self.check_root(&failure);
        }
        make_root(&self.root, &failure)?;
        for kind in ObjectKind::ALL {
            if !kind.folder().is_empty() {
                self.make_durable_folder(kind.folder(), &failure)?;
            }
        }
        Ok(())
    }
}

/// Makes the root and its missing parents, private to the user, and syncs the parent of each.
fn make_root(root: &Path, failure: &Failure) -> Result<(), StoreError> {
    let missing: Vec<&Path> = root
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        let failure = failure.at(folder);
        match rustix::fs::mkdir(folder, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failure.from_errno(errno)),
        }
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(parent, flags, Mode::empty())
            .and_then(|fd| publish::sync_folder(&fd))
            .map_err(|errno| failure.from_errno(errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
