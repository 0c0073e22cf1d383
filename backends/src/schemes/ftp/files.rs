// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder of an FTP server as a folder of files.

use bytes::Bytes;
use duplicati_engine::storage::StoreFuture;

use super::{FtpStore, listing::What, trouble::Trouble};
use crate::{
    files::{FOLDER_DEPTH_MAX, FileEntry, Files},
    schemes::names,
};

impl Files for FtpStore {
    fn location(&self) -> String {
        self.arguments.location.clone()
    }

    fn list_files(&self, deep: bool) -> StoreFuture<'_, Vec<FileEntry>> {
        Box::pin(async move {
            let mut found = Vec::new();
            let mut folders = vec![(String::new(), 0)];
            while let Some((folder, depth)) = folders.pop() {
                let Some(entries) = self.list_folder(&folder).await? else {
                    let gone = Trouble::not_found("the folder does not exist at the target");
                    return Err(self.error("list", "(root)")(gone));
                };
                for entry in entries {
                    let path = names::relative(&folder, &entry.name);
                    let is_folder = entry.what == What::Folder;
                    if is_folder && deep && depth < FOLDER_DEPTH_MAX {
                        folders.push((path.clone(), depth + 1));
                    }
                    found.push(FileEntry {
                        path,
                        is_folder,
                        size_bytes: if is_folder {
                            0
                        } else {
                            entry.size_bytes.unwrap_or(0)
                        },
                        modified: entry.modified,
                    });
                }
            }
            Ok(found)
        })
    }

    fn read_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, Bytes> {
        Box::pin(self.get_object(path, None))
    }

    fn write_file<'a>(&'a self, path: &'a str, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let error = self.error("put", path);
            let mut held = self.pool.take().await.map_err(&error)?;
            let result = async {
                self.make_folder(&mut held, names::split(path).0).await?;
                let absolute = self.path(&held, path);
                held.write(&absolute, &content).await?;
                match self.known_size(&mut held, &absolute).await? {
                    Some(size) if size == content.len() as u64 => Ok(()),
                    _ => Err(Trouble::passing("the target does not show all that it accepted")),
                }
            }
            .await;
            held.settle(result).map_err(error)
        })
    }

    fn delete_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            match self.delete_object(path).await? {
                true => Ok(()),
                false => Err(self.error("delete", path)(Trouble::not_found("no such file"))),
            }
        })
    }

    fn remove_folder<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let object = if path.is_empty() { "(root)" } else { path };
            let error = self.error("delete", object);
            let mut held = self.pool.take().await.map_err(&error)?;
            let absolute = self.path(&held, path);
            // It may be the folder that the connection is in.
            let root = self.path(&held, "");
            let result = async {
                let above = root.rsplit_once('/').map_or("/", |(above, _)| above);
                held.enter(if above.is_empty() { "/" } else { above }).await?;
                held.remove_folder(&absolute).await
            }
            .await;
            self.lock_folders().remove(path);
            held.settle(result).map_err(error)
        })
    }

    fn create_folder(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.prepare_root(true))
    }
}
