// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storing one object so that it appears whole, never replaces another, and survives power loss.
//!
//! The bytes go into a new file under a temporary name. When the server has acknowledged all of them and synced the file,
//! the file gets its name by a hard link, which fails when the name exists; then the folder is synced. Servers without hard
//! links rename, after a look whether the name is free: two writers at the same moment could both win there, so such a
//! target does not claim exclusive puts.
//!
//! OpenSSH carries out requests in their order. There, what must follow is sent behind what it follows without waiting for
//! the answer, as long as nothing becomes visible before everything before it is known to have worked.

use bytes::Bytes;
use duplicati_engine::storage::StoreErrorKind;

use super::{
    errors::{About, Trouble},
    folders::{Folders, ParentFolders},
    packet::Request,
    paths::Paths,
    pool::Lease,
    publishing::Publishing,
    session::{Pending, Session},
    sync_folder::{OpenFolder, synced},
    upload,
};
use crate::schemes::names;

/// What is put, and what is known about the target.
pub(super) struct Put<'a> {
    pub(super) paths: &'a Paths,
    pub(super) folders: &'a Folders,
    pub(super) publishing: &'a Publishing,
    /// Relative to the root.
    pub(super) object: &'a str,
    pub(super) content: Bytes,
}

/// What an attempt that was cut off may have left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The object may have become visible, only the answer was lost.
    is_perhaps_there: bool,
    /// The temporary file of the attempt.
    temporary: Option<Bytes>,
}

/// A temporary file; its name goes when this is dropped, whatever happened.
struct Temporary<'a> {
    lease: &'a Lease,
    path: Bytes,
    handle: Option<Bytes>,
    is_gone: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.lease.post(Request::Close { handle });
        }
        if !self.is_gone {
            self.lease.post(Request::Remove {
                path: self.path.clone(),
            });
        }
    }
}

impl Put<'_> {
    /// One attempt over one connection. `left` says afterwards what an attempt that failed may have left.
    pub(super) async fn attempt(&self, lease: &Lease, left: &mut Left) -> Result<(), Trouble> {
        let path = self.paths.of(self.object);
        if let Some(path) = left.temporary.take() {
            lease.post(Request::Remove { path });
        }
        if left.is_perhaps_there {
            match self.is_ours(lease, &path).await? {
                Some(true) => return self.sync_folder(lease).await,
                Some(false) => return Err(self.already_exists(lease).await),
                None => left.is_perhaps_there = false,
            }
        }
        let parents = self.folders.missing_parents(self.object);
        match self.attempt_in(lease, &path, parents, left).await {
            // The folder that was known is gone: somebody cleared the target.
            Err(trouble) if trouble.is_no_such_file() && self.folders.forget(self.object) => {
                let parents = self.folders.missing_parents(self.object);
                self.attempt_in(lease, &path, parents, left).await
            }
            result => result,
        }
    }

    async fn attempt_in(
        &self,
        lease: &Lease,
        path: &Bytes,
        parents: Option<ParentFolders>,
        left: &mut Left,
    ) -> Result<(), Trouble> {
        let session: &Session = lease;
        let is_sequential = session.server.is_sequential;
        let folder = self.paths.of(names::split(self.object).0);
        let temporary_path = self.paths.of(&names::temporary(self.object));
        left.temporary = Some(temporary_path.clone());

        let mut made = Vec::new();
        for parent in parents.iter().flat_map(ParentFolders::to_make) {
            let path = self.paths.of(parent);
            let pending = session.send(Request::MakeFolder { path }).await?;
            if is_sequential {
                made.push(pending);
            } else {
                // Most often it exists; whether it does is seen below.
                let _exists = pending.reply().await?.into_done();
            }
        }
        let existing = session.send(Request::Inspect { path: path.clone() }).await?;
        let create = session
            .send(Request::Create {
                path: temporary_path.clone(),
            })
            .await?;
        let folder_pending = OpenFolder::request(session, folder.clone()).await?;
        let mut parent_pendings = Vec::new();
        for parent in parents.iter().flat_map(ParentFolders::to_sync) {
            let path = self.paths.of(parent);
            parent_pendings.push((OpenFolder::request(session, path.clone()).await?, path));
        }
        for pending in made {
            let _exists = pending.reply().await?.into_done();
        }
        // Only to save the transfer in the common case; the publication below decides.
        let exists = existing.reply().await?.into_attributes().is_ok();
        let created = create.reply().await?.into_handle().about(&temporary_path);
        let folder_handle = OpenFolder::opened(session, folder_pending).await?;
        let mut parent_handles = Vec::new();
        for (pending, path) in parent_pendings {
            parent_handles.push((OpenFolder::opened(session, pending).await?, path));
        }
        let mut temporary = Temporary {
            lease,
            path: temporary_path,
            handle: Some(created?),
            is_gone: false,
        };
        if exists {
            drop(temporary);
            folder_handle.sync(&folder).await?;
            return Err(already_exists(path));
        }
        let Some(handle) = temporary.handle.clone() else {
            return Err(Trouble::passing("the temporary file is closed"));
        };
        upload::send(session, handle, &self.content, &temporary.path).await?;
        temporary.handle = None;
        for (handle, path) in &parent_handles {
            handle.sync(path).await?;
        }
        if let Some(parents) = parents {
            self.folders.learn(parents);
        }
        self.publish(session, &mut temporary, path, &folder_handle, &folder, left)
            .await
    }

    async fn publish(
        &self,
        session: &Session,
        temporary: &mut Temporary<'_>,
        path: &Bytes,
        folder_handle: &OpenFolder<'_>,
        folder: &Bytes,
        left: &mut Left,
    ) -> Result<(), Trouble> {
        if session.server.can_link && !self.publishing.has_no_links() {
            if !self.publishing.is_exclusive() {
                self.publishing
                    .prove(session, self.paths, self.object, &temporary.path)
                    .await?;
            }
        } else {
            self.publishing.give_up_links();
        }
        if !self.publishing.is_exclusive() {
            return self
                .publish_by_rename(session, temporary, path, folder_handle, folder, left)
                .await;
        }
        left.is_perhaps_there = true;
        let link = session
            .send(Request::Link {
                from: temporary.path.clone(),
                to: path.clone(),
            })
            .await?;
        let linked = if session.server.is_sequential {
            let sync = folder_handle.send_sync().await?;
            let remove = session
                .send(Request::Remove {
                    path: temporary.path.clone(),
                })
                .await?;
            let linked = link.reply().await?.into_done().about(path);
            synced(sync, folder).await?;
            removed(remove, temporary).await?;
            linked
        } else {
            let linked = link.reply().await?.into_done().about(path);
            let remove = session
                .send(Request::Remove {
                    path: temporary.path.clone(),
                })
                .await?;
            folder_handle.sync(folder).await?;
            removed(remove, temporary).await?;
            linked
        };
        match linked {
            Ok(()) => Ok(()),
            Err(trouble) => {
                left.is_perhaps_there = false;
                Err(self.why_not_published(session, path, trouble).await)
            }
        }
    }

    async fn why_not_published(&self, session: &Session, path: &Bytes, trouble: Trouble) -> Trouble {
        let inspected = match session.ask(Request::Inspect { path: path.clone() }).await {
            Ok(reply) => reply.into_attributes(),
            Err(broken) => return broken.into(),
        };
        if inspected.is_ok() {
            already_exists(path)
        } else if trouble.is_no_such_file() && self.folders.forget(self.object) {
            // The folder or our temporary file was removed under us; nothing is lost by beginning again.
            Trouble::passing("the temporary file was removed while it was written")
        } else {
            trouble
        }
    }

    async fn publish_by_rename(
        &self,
        session: &Session,
        temporary: &mut Temporary<'_>,
        path: &Bytes,
        folder_handle: &OpenFolder<'_>,
        folder: &Bytes,
        left: &mut Left,
    ) -> Result<(), Trouble> {
        // There are servers whose rename replaces.
        let existing = session.ask(Request::Inspect { path: path.clone() }).await?;
        if existing.into_attributes().is_ok() {
            folder_handle.sync(folder).await?;
            return Err(already_exists(path));
        }
        left.is_perhaps_there = true;
        let request = Request::Rename {
            from: temporary.path.clone(),
            to: path.clone(),
        };
        if let Err(trouble) = session.ask(request).await?.into_done().about(path) {
            left.is_perhaps_there = false;
            return Err(self.why_not_published(session, path, trouble).await);
        }
        temporary.is_gone = true;
        folder_handle.sync(folder).await
    }

    /// Whether the object under the name is the one that is put; none when there is no object.
    async fn is_ours(&self, lease: &Lease, path: &Bytes) -> Result<Option<bool>, Trouble> {
        match super::get::read(lease, path, None).await {
            Ok(stored) => Ok(Some(stored == self.content)),
            Err(trouble) if trouble.is_no_such_file() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    async fn sync_folder(&self, lease: &Lease) -> Result<(), Trouble> {
        let folder = self.paths.of(names::split(self.object).0);
        let pending = OpenFolder::request(lease, folder.clone()).await?;
        OpenFolder::opened(lease, pending).await?.sync(&folder).await
    }

    /// Callers act on the answer that a name is taken, so it must stay true after power loss.
    async fn already_exists(&self, lease: &Lease) -> Trouble {
        match self.sync_folder(lease).await {
            Ok(()) => already_exists(&self.paths.of(self.object)),
            Err(trouble) => trouble,
        }
    }
}

fn already_exists(path: &Bytes) -> Trouble {
    let path = String::from_utf8_lossy(path);
    Trouble::told(
        StoreErrorKind::AlreadyExists,
        format!("{path}: the name exists already"),
    )
}

async fn removed(pending: Pending, temporary: &mut Temporary<'_>) -> Result<(), Trouble> {
    let result = pending.reply().await?.into_done().about(&temporary.path);
    temporary.is_gone = true;
    if let Err(trouble) = result
        && !trouble.is_no_such_file()
    {
        tracing::warn!(
            ?trouble,
            "a temporary file could not be removed; it is harmless waste"
        );
    }
    Ok(())
}
