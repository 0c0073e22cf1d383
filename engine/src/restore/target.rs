// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The folder that is restored into, and the promise that nothing is ever written outside of it.
//!
//! Folders are opened relative to the target's descriptor by the kernel's own rule (`openat2`, beneath the root, no symbolic links), or
//! name by name without following links where the kernel lacks it. So neither a link that lies in the target, nor one that a hostile
//! repository brings, nor one that somebody slips in during the restore leads anywhere else.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use crate::repository::lru::Lru;

/// Longest piece of a path given to the kernel at once; the limit is 4,096 with the final zero, bytes.
const PATH_PIECE_BYTES_MAX: usize = 4000;
const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// The root of a restore.
#[derive(Debug)]
pub struct Target {
    root: OwnedFd,
    path: PathBuf,
    follow_links: bool,
    has_openat2: AtomicBool,
}

/// A folder below the target, by path; descriptors for it come from a [`FolderCache`].
#[derive(Debug)]
pub struct Folder {
    /// Unique in the run.
    pub number: u64,
    /// Path below the target, names joined by `/`; empty for the target itself.
    pub path: Vec<u8>,
}

impl Target {
    /// Opens the target and makes it if need be. `follow_links` gives up the promise above, on the user's word.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(path: &Path, follow_links: bool) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        // The way to the target is the user's choice, links included; only what lies below is watched.
        let root = rustix::fs::openat(CWD, path, FOLDER_FLAGS, Mode::empty())?;
        Ok(Self {
            root,
            path: path.to_owned(),
            follow_links,
            has_openat2: AtomicBool::new(true),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder by its path below the target, of any length and depth.
    ///
    /// # Errors
    /// `ELOOP` or `ENOTDIR` when a link or something else is in the way.
    pub fn open_folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return self.open_below(self.root.as_fd(), b".");
        }
        let mut rest = path;
        let mut at: Option<OwnedFd> = None;
        while !rest.is_empty() {
            let piece = match rest.get(..PATH_PIECE_BYTES_MAX) {
                None => rest,
                // Names are at most 255 bytes, so there is a slash.
                Some(window) => {
                    let end = window.iter().rposition(|byte| *byte == b'/');
                    &rest[..end.filter(|end| *end > 0).ok_or(Errno::NAMETOOLONG)?]
                }
            };
            rest = rest.get(piece.len() + 1..).unwrap_or_default();
            let from = at.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            at = Some(self.open_below(from, piece)?);
        }
        at.ok_or(Errno::NOENT)
    }

    fn open_below(&self, from: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
        if self.follow_links {
            return rustix::fs::openat(from, path, FOLDER_FLAGS, Mode::empty());
        }
        if self.has_openat2.load(Ordering::Relaxed) {
            match rustix::fs::openat2(from, path, FOLDER_FLAGS, Mode::empty(), BENEATH) {
                // Old kernels, and sandboxes that know no better.
                Err(Errno::NOSYS | Errno::PERM) => self.has_openat2.store(false, Ordering::Relaxed),
                answer => return answer,
            }
        }
        open_by_names(from, path)
    }

    /// Opens a folder in a folder.
    ///
    /// # Errors
    /// As [`open_folder`](Self::open_folder).
    pub fn open_child(&self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
        self.open_below(parent, name)
    }

    /// Makes a folder unless it is there; says whether it is new. Until its metadata is set, others than the owner stay out of new ones.
    ///
    /// # Errors
    /// When something else has the name, or the system refuses.
    pub fn make_folder(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        mode: u32,
    ) -> Result<(OwnedFd, bool), Errno> {
        let made = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error),
        };
        self.open_child(parent, name).map(|folder| (folder, made))
    }
}

/// Every name by itself, no link followed. `O_NOFOLLOW` guards the last name only, hence one call for each.
fn open_by_names(from: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    for name in path.split(|byte| *byte == b'/') {
        if name == b".." || name.is_empty() {
            return Err(Errno::INVAL);
        }
        let parent = at.as_ref().map_or(from, AsFd::as_fd);
        at = Some(rustix::fs::openat(
            parent,
            name,
            FOLDER_FLAGS | OFlags::NOFOLLOW,
            Mode::empty(),
        )?);
    }
    at.ok_or(Errno::NOENT)
}

/// What has a name in a folder, links not followed; none when the name is free.
///
/// # Errors
/// When the system refuses to say.
pub fn look(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an error means here, with the way out where there is one.
pub fn explain(error: Errno) -> String {
    match error {
        Errno::LOOP => "a symbolic link is in the way and is not followed; --allow-restore-outside-target-directory follows it".to_owned(),
        Errno::NOTDIR => "something that is not a folder is in the way; move it aside".to_owned(),
        Errno::EXIST => "something with this name appeared during the restore; it was left alone".to_owned(),
        Errno::ISDIR => "a folder is in the way; move it aside".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}

/// Whether every further file would fail the same way.
pub fn is_fatal(error: Errno) -> bool {
    matches!(error, Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO)
}

/// Descriptors of the folders used last; one for each worker.
pub struct FolderCache {
    target: Arc<Target>,
    open: Lru<u64, Arc<OwnedFd>>,
}

impl FolderCache {
    /// A cache of at most `folders_max` descriptors.
    pub fn new(target: Arc<Target>, folders_max: u64) -> Self {
        Self {
            target,
            open: Lru::new(folders_max),
        }
    }

    /// The descriptor of a folder.
    ///
    /// # Errors
    /// As [`Target::open_folder`].
    pub fn get(&mut self, folder: &Folder) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(open) = self.open.get(&folder.number) {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(self.target.open_folder(&folder.path)?);
        self.put(folder, &open);
        Ok(open)
    }

    /// Enters a descriptor that is open anyway.
    pub fn put(&mut self, folder: &Folder, open: &Arc<OwnedFd>) {
        self.open.insert(folder.number, Arc::clone(open), 1);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_not_followed_at_any_place_by_either_way_of_opening() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(outside.path().join("x")).unwrap();
        fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
        symlink(outside.path(), folder.path().join("a/link")).unwrap();
        symlink("b", folder.path().join("a/inner")).unwrap();
        for has_openat2 in [true, false] {
            let target = Target::open(folder.path(), false).unwrap();
            target.has_openat2.store(has_openat2, Ordering::Relaxed);
            assert!(target.open_folder(b"a/b/c").is_ok());
            assert!(target.open_folder(b"").is_ok());
            for path in ["a/link", "a/link/x", "a/inner", "a/inner/c", "..", "a/../.."] {
                assert!(target.open_folder(path.as_bytes()).is_err(), "{path}");
            }
        }
        let target = Target::open(folder.path(), true).unwrap();
        assert!(target.open_folder(b"a/link/x").is_ok(), "on the user's word");
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::open(folder.path(), false).unwrap();
        let name = "n".repeat(200);
        let mut path = String::new();
        let mut at = target.open_folder(b"").unwrap();
        for _ in 0..60 {
            at = target.make_folder(at.as_fd(), name.as_bytes(), 0o700).unwrap().0;
            path = format!("{path}/{name}");
        }
        let opened = target.open_folder(&path.as_bytes()[1..]).unwrap();
        let (one, other) = (
            rustix::fs::fstat(&at).unwrap(),
            rustix::fs::fstat(&opened).unwrap(),
        );
        assert_eq!(one.st_ino, other.st_ino);
    }
}
