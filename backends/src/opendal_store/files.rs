// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An operator as a folder of files.

use bytes::Bytes;
use duplicati_engine::storage::{StoreErrorKind, StoreFuture};
use opendal::{Buffer, options::ListOptions};

use super::OpendalStore;
use crate::files::{FileEntry, Files};

impl Files for OpendalStore {
    fn location(&self) -> String {
        self.service.location.clone()
    }

    fn list_files(&self, deep: bool) -> StoreFuture<'_, Vec<FileEntry>> {
        Box::pin(async move {
            let options = ListOptions {
                recursive: deep,
                ..ListOptions::default()
            };
            let list = self.operator.list_options("", options);
            let entries = self.request("list", &"(root)", list).await?;
            let entry_of = |entry: opendal::Entry| {
                let (path, metadata) = entry.into_parts();
                let name = path.trim_matches('/').to_owned();
                (!name.is_empty()).then(|| FileEntry {
                    is_folder: path.ends_with('/'),
                    size_bytes: if path.ends_with('/') {
                        0
                    } else {
                        metadata.content_length()
                    },
                    modified: metadata.last_modified().map(|time| time.into_inner().as_second()),
                    path: name,
                })
            };
            Ok(entries.into_iter().filter_map(entry_of).collect())
        })
    }

    fn read_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, Bytes> {
        Box::pin(async move {
            Ok(self
                .request("get", &path, self.operator.read(path))
                .await?
                .to_bytes())
        })
    }

    fn write_file<'a>(&'a self, path: &'a str, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let write = self.operator.write(path, Buffer::from(content));
            self.request("put", &path, write).await.map(|_| ())
        })
    }

    fn delete_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            // Services say nothing about a name that was not there.
            match self.request("delete", &path, self.operator.exists(path)).await? {
                true => self.request("delete", &path, self.operator.delete(path)).await,
                false => Err(self.failure("delete", path, StoreErrorKind::NotFound, "no such file")),
            }
        })
    }

    fn create_folder(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.prepare_root())
    }
}
