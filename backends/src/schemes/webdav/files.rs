// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A WebDAV collection as a folder of files.

use bytes::Bytes;
use duplicati_engine::storage::{StoreErrorKind, StoreFuture};
use reqwest::{Method, StatusCode};

use super::WebdavStore;
use crate::{
    files::{FOLDER_DEPTH_MAX, FileEntry, Files},
    schemes::names,
};

impl Files for WebdavStore {
    fn location(&self) -> String {
        self.connection.location().to_owned()
    }

    fn list_files(&self, deep: bool) -> StoreFuture<'_, Vec<FileEntry>> {
        Box::pin(async move {
            let mut found = Vec::new();
            let mut folders = vec![(String::new(), 0)];
            while let Some((folder, depth)) = folders.pop() {
                let Some(entries) = self.list_folder(&folder, "1").await? else {
                    let message = "the folder does not exist at the target";
                    return Err(self.connection.failure(
                        "list",
                        &"(root)",
                        StoreErrorKind::NotFound,
                        message,
                    ));
                };
                for entry in entries.into_iter().filter(|entry| entry.path != folder) {
                    if entry.is_folder && deep && depth < FOLDER_DEPTH_MAX {
                        folders.push((entry.path.clone(), depth + 1));
                    }
                    found.push(FileEntry {
                        path: entry.path,
                        is_folder: entry.is_folder,
                        size_bytes: entry.size_bytes.unwrap_or(0),
                        modified: entry.modified,
                    });
                }
            }
            Ok(found)
        })
    }

    fn read_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, Bytes> {
        Box::pin(async move {
            let answer = self.connection.get(&path, path, None).await?;
            if answer.status.is_success() {
                Ok(answer.body)
            } else {
                Err(self.connection.refusal("get", &path, &answer))
            }
        })
    }

    fn write_file<'a>(&'a self, path: &'a str, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let (folder, _) = names::split(path);
            self.make_folder(&path, folder).await?;
            let answer = self.connection.put(&path, path, content).await?;
            if answer.status.is_success() {
                Ok(())
            } else {
                Err(self.connection.refusal("put", &path, &answer))
            }
        })
    }

    fn delete_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let answer = self
                .connection
                .simple("delete", &path, Method::DELETE, path)
                .await?;
            if answer.status.is_success() && answer.status != StatusCode::MULTI_STATUS {
                Ok(())
            } else {
                Err(self.connection.refusal("delete", &path, &answer))
            }
        })
    }

    fn remove_folder<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let object: &str = if path.is_empty() { "(root)" } else { path };
            // A server removes a collection with all that is in it.
            let entries = self.list_folder(path, "1").await?.unwrap_or_default();
            if entries.iter().any(|entry| entry.path != path) {
                let message = "the folder is not empty";
                return Err(self
                    .connection
                    .failure("delete", &object, StoreErrorKind::Other, message));
            }
            let url_path = if path.is_empty() {
                String::new()
            } else {
                format!("{path}/")
            };
            let answer = self
                .connection
                .simple("delete", &object, Method::DELETE, &url_path)
                .await?;
            if answer.status.is_success() && answer.status != StatusCode::MULTI_STATUS {
                Ok(())
            } else {
                Err(self.connection.refusal("delete", &object, &answer))
            }
        })
    }

    fn create_folder(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.prepare_root(true))
    }
}
