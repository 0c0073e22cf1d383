// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Listing a local target: objects, what is foreign, and what crashes left behind.

use duplicati_engine::storage::{Listing, ObjectInfo, ObjectKind, StoreError};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Dir, FileType, Stat},
    io::Errno,
};

use super::{Folder, errors::Failure};
use crate::schemes::names::{self, Meaning};

/// The folder that ext file systems keep in their root; a disk used as a target has it, and it is nobody's data.
const LOST_AND_FOUND: &str = "lost+found";

/// One entry of a folder.
struct Entry {
    /// As text; bytes that are not UTF-8 are replaced, which no object name survives.
    name: String,
    status: Stat,
}

impl Entry {
    fn is(&self, kind: FileType) -> bool {
        FileType::from_raw_mode(self.status.st_mode) == kind
    }

    fn size_bytes(&self) -> u64 {
        u64::try_from(self.status.st_size).unwrap_or(0)
    }
}

impl Folder {
    pub(super) fn list(&self, kind: ObjectKind) -> Result<Listing, StoreError> {
        let what = if kind == ObjectKind::Config {
            "(root)"
        } else {
            kind.folder()
        };
        let failure = self.failure("list", what);
        // A target that is not there must not look like an empty one.
        self.check_root(&failure)?;
        let mut listing = Listing::default();
        if kind == ObjectKind::Pack {
            for entry in self.entries(kind.folder(), &failure)? {
                let shard = names::relative(kind.folder(), &entry.name);
                if names::is_shard(&entry.name) && entry.is(FileType::Directory) {
                    self.list_folder(&shard, &mut listing, &failure)?;
                } else {
                    listing.foreign.push(shard);
                }
            }
        } else {
            self.list_folder(kind.folder(), &mut listing, &failure)?;
        }
        // A folder that changes while it is read may show an entry twice.
        listing.objects.sort_unstable_by_key(|object| object.name);
        listing.objects.dedup_by_key(|object| object.name);
        Ok(listing)
    }

    fn list_folder(&self, folder: &str, listing: &mut Listing, failure: &Failure) -> Result<(), StoreError> {
        for entry in self.entries(folder, failure)? {
            match names::meaning(folder, &entry.name) {
                Meaning::Object(name) if entry.is(FileType::RegularFile) => {
                    listing.objects.push(ObjectInfo {
                        name,
                        size_bytes: entry.size_bytes(),
                    })
                }
                Meaning::Temporary => {}
                Meaning::Foreign if folder.is_empty() && is_expected_in_root(&entry) => {}
                Meaning::Foreign if folder.is_empty() && self.marker.as_ref() == Some(&entry.name) => {}
                Meaning::Object(_) | Meaning::Foreign => {
                    listing.foreign.push(names::relative(folder, &entry.name));
                }
            }
        }
        Ok(())
    }

    pub(super) fn list_foreign_root(&self) -> Result<Vec<String>, StoreError> {
        let mut listing = Listing::default();
        // A root that is not there yet holds nothing foreign.
        self.list_folder("", &mut listing, &self.failure("list", "(root)"))?;
        Ok(listing.foreign)
    }

    pub(super) fn remove_stale_temporaries(&self, older_than: i64) -> Result<u64, StoreError> {
        let failure = self.failure("remove_stale_temporaries", "(root)");
        self.check_root(&failure)?;
        let mut removed = 0;
        for kind in ObjectKind::ALL {
            if kind == ObjectKind::Pack {
                for entry in self.entries(kind.folder(), &failure)? {
                    if names::is_shard(&entry.name) && entry.is(FileType::Directory) {
                        let shard = names::relative(kind.folder(), &entry.name);
                        removed += self.remove_stale_in(&shard, older_than, &failure)?;
                    }
                }
            } else {
                removed += self.remove_stale_in(kind.folder(), older_than, &failure)?;
            }
        }
        Ok(removed)
    }

    fn remove_stale_in(&self, folder: &str, older_than: i64, failure: &Failure) -> Result<u64, StoreError> {
        let mut removed = 0;
        for entry in self.entries(folder, failure)? {
            let is_ours =
                names::meaning(folder, &entry.name) == Meaning::Temporary && entry.is(FileType::RegularFile);
            if is_ours && entry.status.st_mtime < older_than {
                let path = self.path_of(&names::relative(folder, &entry.name));
                match rustix::fs::unlink(&path) {
                    Ok(()) => removed += 1,
                    Err(Errno::NOENT) => {}
                    Err(errno) => return Err(failure.at(path).from_errno(errno)),
                }
            }
        }
        Ok(removed)
    }

    /// All entries of a folder below the root; a missing folder has none.
    fn entries(&self, folder: &str, failure: &Failure) -> Result<Vec<Entry>, StoreError> {
        let failure = failure.at(self.path_of(folder));
        match self.open_folder(folder) {
            Ok(fd) => read_entries(fd).map_err(|errno| failure.from_errno(errno)),
            Err(Errno::NOENT) => Ok(Vec::new()),
            Err(errno) => Err(failure.from_errno(errno)),
        }
    }
}

fn is_expected_in_root(entry: &Entry) -> bool {
    entry.is(FileType::Directory) && (names::is_kind_folder(&entry.name) || entry.name == LOST_AND_FOUND)
}

fn read_entries(folder: OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => entries.push(Entry {
                name: name.to_string_lossy().into_owned(),
                status,
            }),
            // Deleted, or published and renamed, since the folder was read.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(entries)
}
