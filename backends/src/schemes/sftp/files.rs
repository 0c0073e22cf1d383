// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The target as a folder of files with any names, for the tools that look at a target as it is.

use bytes::Bytes;
use duplicati_engine::storage::{StoreErrorKind, StoreFuture};

use super::{
    SftpStore,
    errors::{About, Trouble},
    get, load_of,
    packet::Request,
    pool::{Lease, Load},
    session::Session,
    upload, walk,
};
use crate::{
    files::{FOLDER_DEPTH_MAX, FileEntry, Files},
    schemes::names,
};

/// Files of a listing, at most.
const FILES_MAX: usize = 4_000_000;

impl SftpStore {
    async fn walk_files(&self, session: &Session, deep: bool) -> Result<Vec<FileEntry>, Trouble> {
        walk::check_root(session, &self.paths).await?;
        let mut found = Vec::new();
        let mut folders = vec![(String::new(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in walk::entries(session, &self.paths, &folder).await? {
                let path = names::relative(&folder, &String::from_utf8_lossy(&entry.name));
                // Only what the server calls a folder is followed: a symbolic link may lead in circles.
                let is_folder = entry.attributes.mode.is_some() && entry.attributes.is_folder();
                if is_folder && deep && depth < FOLDER_DEPTH_MAX {
                    folders.push((path.clone(), depth + 1));
                }
                found.push(FileEntry {
                    path,
                    is_folder,
                    size_bytes: if is_folder {
                        0
                    } else {
                        entry.attributes.size_bytes.unwrap_or(0)
                    },
                    modified: entry.attributes.modified.map(i64::from),
                });
            }
            if found.len() > FILES_MAX {
                return Err(Trouble::told(StoreErrorKind::Other, "too many files to list"));
            }
        }
        Ok(found)
    }

    async fn make_folders_above(&self, session: &Session, path: &str) -> Result<(), Trouble> {
        for (place, _) in path.match_indices('/') {
            let path = self.paths.of(&path[..place]);
            // What is missing afterwards is seen when the file is written.
            let _exists = session.ask(Request::MakeFolder { path }).await?.into_done();
        }
        Ok(())
    }

    /// Beside it and then over it, so that a file is never half of another.
    async fn replace(&self, lease: &Lease, path: &str, content: &Bytes) -> Result<(), Trouble> {
        let target = self.paths.of(path);
        let beside = self
            .paths
            .of(&format!("{path}.part-{:016x}", rand::random::<u64>()));
        let request = Request::Create { path: beside.clone() };
        let created = match lease.ask(request.clone()).await?.into_handle().about(&target) {
            Err(trouble) if trouble.is_no_such_file() => {
                self.make_folders_above(lease, path).await?;
                lease.ask(request).await?.into_handle().about(&target)
            }
            created => created,
        };
        let handle = created?;
        let moved = match upload::send(lease, handle, content, &beside).await {
            Ok(()) => {
                let rename = || Request::Rename {
                    from: beside.clone(),
                    to: target.clone(),
                };
                match lease.ask(rename()).await?.into_done() {
                    Ok(()) => Ok(()),
                    // Most servers do not rename over what is there.
                    Err(_) => {
                        let _absent = lease
                            .ask(Request::Remove { path: target.clone() })
                            .await?
                            .into_done();
                        lease.ask(rename()).await?.into_done().about(&target)
                    }
                }
            }
            Err(trouble) => Err(trouble),
        };
        if moved.is_err() {
            lease.post(Request::Remove { path: beside });
        }
        moved
    }
}

impl Files for SftpStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list_files(&self, deep: bool) -> StoreFuture<'_, Vec<FileEntry>> {
        Box::pin(async move {
            self.run(&self.failure("list", "(root)"), Load::Light, |lease| async move {
                self.walk_files(&lease, deep).await
            })
            .await
        })
    }

    fn read_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, Bytes> {
        Box::pin(async move {
            let at = &self.paths.of(path);
            self.run(&self.failure("get", path), Load::Transfer, |lease| async move {
                get::read(&lease, at, None).await
            })
            .await
        })
    }

    fn write_file<'a>(&'a self, path: &'a str, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let (content, length) = (&content, content.len() as u64);
            self.run(&self.failure("put", path), load_of(length), |lease| async move {
                match self.replace(&lease, path, content).await {
                    Err(trouble) if trouble.is_plain_failure() => {
                        Err(self.why_no_write(&lease, trouble, length).await)
                    }
                    result => result,
                }
            })
            .await
        })
    }

    fn delete_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let at = &self.paths.of(path);
            self.run(&self.failure("delete", path), Load::Light, |lease| async move {
                let request = Request::Remove { path: at.clone() };
                lease.ask(request).await?.into_done().about(at)
            })
            .await
        })
    }

    fn remove_folder<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let at = &self.paths.of(path);
            let object = if path.is_empty() { "(root)" } else { path };
            self.run(&self.failure("delete", object), Load::Light, |lease| async move {
                let request = Request::RemoveFolder { path: at.clone() };
                lease.ask(request).await?.into_done().about(at)
            })
            .await
        })
    }

    fn create_folder(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.run(
                &self.failure("prepare", "(root)"),
                Load::Light,
                |lease| async move { self.make_root(&lease).await },
            )
            .await
        })
    }
}
