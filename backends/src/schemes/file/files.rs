// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A local folder as a folder of files.

use std::{fs, io, path::Path, time::UNIX_EPOCH};

use bytes::Bytes;
use duplicati_engine::storage::{StoreError, StoreErrorKind, StoreFuture};

use super::{Folder, LocalStore};
use crate::files::{FOLDER_DEPTH_MAX, FileEntry, Files};

impl Folder {
    fn file_failure(&self, operation: &'static str, path: &str, error: io::Error) -> StoreError {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => StoreErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => StoreErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::NoSpace,
            _ => StoreErrorKind::Other,
        };
        let object = if path.is_empty() { "(root)" } else { path };
        self.failure(operation, object)
            .because(kind, error.to_string())
            .with_source(error)
    }

    fn read_folder(
        &self,
        below: &str,
        deep: bool,
        depth: usize,
        found: &mut Vec<FileEntry>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(self.path_of(below))? {
            let entry = entry?;
            let status = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            found.push(FileEntry {
                path: path.clone(),
                is_folder: status.is_dir(),
                size_bytes: if status.is_dir() { 0 } else { status.len() },
                modified: status
                    .modified()
                    .ok()
                    .and_then(|time| i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()),
            });
            if deep && status.is_dir() && depth < FOLDER_DEPTH_MAX {
                self.read_folder(&path, deep, depth + 1, found)?;
            }
        }
        Ok(())
    }

    fn write_whole(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let path = self.path_of(path);
        if let Some(parent) = path.parent().filter(|parent| *parent != self.root) {
            fs::create_dir_all(parent)?;
        }
        // Beside it and then over it, so that a file is never half of another.
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".part-{:016x}", rand::random::<u64>()));
        let beside = Path::new(&beside);
        let written = fs::write(beside, content)
            .and_then(|()| fs::File::open(beside)?.sync_all())
            .and_then(|()| fs::rename(beside, &path));
        if written.is_err() {
            let _gone_already = fs::remove_file(beside);
        }
        written
    }
}

impl Files for LocalStore {
    fn location(&self) -> String {
        self.folder.location()
    }

    fn list_files(&self, deep: bool) -> StoreFuture<'_, Vec<FileEntry>> {
        self.run("list", move |folder| {
            let mut found = Vec::new();
            folder
                .read_folder("", deep, 0, &mut found)
                .map_err(|error| folder.file_failure("list", "", error))?;
            Ok(found)
        })
    }

    fn read_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, Bytes> {
        let path = path.to_owned();
        self.run("get", move |folder| {
            let content =
                fs::read(folder.path_of(&path)).map_err(|error| folder.file_failure("get", &path, error))?;
            Ok(Bytes::from(content))
        })
    }

    fn write_file<'a>(&'a self, path: &'a str, content: Bytes) -> StoreFuture<'a, ()> {
        let path = path.to_owned();
        self.run("put", move |folder| {
            folder
                .write_whole(&path, &content)
                .map_err(|error| folder.file_failure("put", &path, error))
        })
    }

    fn delete_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        let path = path.to_owned();
        self.run("delete", move |folder| {
            fs::remove_file(folder.path_of(&path))
                .map_err(|error| folder.file_failure("delete", &path, error))
        })
    }

    fn remove_folder<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        let path = path.to_owned();
        self.run("delete", move |folder| {
            fs::remove_dir(folder.path_of(&path)).map_err(|error| folder.file_failure("delete", &path, error))
        })
    }

    fn create_folder(&self) -> StoreFuture<'_, ()> {
        self.run("prepare", |folder| {
            fs::create_dir_all(&folder.root).map_err(|error| folder.file_failure("prepare", "", error))
        })
    }
}
