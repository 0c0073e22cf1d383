// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A target as a folder of files with any names: for the tools that look at a target, test it, and copy it as it is.
//!
//! Repositories never go this way: here a `put` replaces. Paths are relative to the target's folder, with `/` between names.

use bytes::Bytes;
use duplicati_engine::{
    mirror::{Listed, rank_of_path},
    storage::StoreFuture,
};

/// Folders below folders that are followed in a listing; a repository has three.
pub const FOLDER_DEPTH_MAX: usize = 16;

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Below the target's folder, without a slash at its end.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes; 0 for a folder.
    pub size_bytes: u64,
    /// When it was last written, seconds since 1970, where the target says so.
    pub modified: Option<i64>,
}

impl Listed for FileEntry {
    type Name = String;

    fn name(&self) -> String {
        self.path.clone()
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn modified(&self) -> Option<i64> {
        self.modified
    }

    fn rank(&self) -> u8 {
        rank_of_path(&self.path)
    }
}

/// The files of a target.
pub trait Files: Send + Sync + 'static {
    /// Where it is, for messages; never holds a secret.
    fn location(&self) -> String;

    /// Files and folders; with `deep` also those in folders. A missing folder is an error of kind `NotFound` where there are folders.
    fn list_files(&self, deep: bool) -> StoreFuture<'_, Vec<FileEntry>>;

    /// A whole file.
    fn read_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, Bytes>;

    /// Writes a file, in place of one that is there.
    fn write_file<'a>(&'a self, path: &'a str, content: Bytes) -> StoreFuture<'a, ()>;

    /// Removes a file. One that is not there is an error of kind `NotFound` where the target can tell.
    fn delete_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()>;

    /// Removes an empty folder; empty stands for the target's folder itself. One that holds anything stays and is an error. Targets without folders
    /// have nothing to do.
    fn remove_folder<'a>(&'a self, _path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Makes the target's folder and those above it.
    fn create_folder(&self) -> StoreFuture<'_, ()>;
}
