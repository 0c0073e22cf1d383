// SPDX-License-Identifier: Apache-2.0 OR MIT
//! FTP: `ftp://host/path`, in TLS by `ftp-encryption-mode` or `use-ssl`.
//!
//! How the promises of the port are kept: an object is uploaded under a temporary name, its size is looked at, and then it is
//! renamed. Servers replace on renaming, so there is no put-if-absent; a name is looked at right before. A transfer counts when
//! the server has confirmed its end and all bytes that the size promised have come. What a refusal means is never guessed from
//! the answer alone: the folder above tells whether something is not there or only not ours.
//!
//! The root is made by `prepare` only: neither reading nor a `put` into a root that is gone makes it.
//!
//! Reading order: [`arguments`], [`control`] (commands and replies), [`session`] and [`transfers`] (a connection), [`pool`], here.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};

mod arguments;
mod control;
mod files;
mod listing;
mod pool;
mod put;
mod session;
mod transfers;
mod trouble;
mod walk;

use arguments::Arguments;
use pool::Pool;
use session::{Session, Size};
use trouble::Trouble;

use crate::{address::StoreAddress, registry::OpenError, schemes::names};

const SCHEME: &str = "ftp";

/// Requests at once, each on a connection of its own: servers allow few for one user.
const CONCURRENT_REQUESTS_MAX: usize = 4;

/// Makes the store of an `ftp`, `ftps` or `aftp` address.
pub fn open(address: &StoreAddress) -> Result<Arc<FtpStore>, OpenError> {
    let arguments = Arc::new(Arguments::of(address)?);
    Ok(Arc::new(FtpStore {
        pool: Pool::new(Arc::clone(&arguments), CONCURRENT_REQUESTS_MAX),
        arguments,
        folders: Mutex::default(),
    }))
}

/// A folder of an FTP server.
pub struct FtpStore {
    arguments: Arc<Arguments>,
    pool: Pool,
    /// Folders below the root that are known to exist.
    folders: Mutex<BTreeSet<String>>,
}

impl FtpStore {
    fn error<'a>(&'a self, operation: &'static str, object: &'a str) -> impl Fn(Trouble) -> StoreError + 'a {
        move |trouble| trouble.into_error(operation, object, &self.arguments.location)
    }

    /// The absolute path of something below the root.
    fn path(&self, session: &Session, path: &str) -> String {
        session.path(&self.arguments.folder, path)
    }

    fn lock_folders(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Each change is one call.
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get_object(&self, path: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        let error = self.error("get", path);
        let mut held = self.pool.take().await.map_err(&error)?;
        let result = self.get_over(&mut held, path, range).await;
        held.settle(result).map_err(error)
    }

    async fn get_over(
        &self,
        session: &mut Session,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, Trouble> {
        let absolute = self.path(session, path);
        let size = match self.known_size(session, &absolute).await? {
            Some(size) => size,
            None => return Err(Trouble::not_found("no such object")),
        };
        let range = range.unwrap_or(0..size);
        if range.start > range.end || range.end > size {
            return Err(Trouble::Told(
                StoreErrorKind::Truncated,
                format!("{size} bytes stored, {range:?} wanted"),
            ));
        }
        let length = range.end - range.start;
        if length == 0 {
            return Ok(Bytes::new());
        }
        match session.read(&absolute, range.start, length, size).await {
            // A server that cannot begin in the middle.
            Err(Trouble::Refused(reply)) if range.start > 0 && reply.is_unknown_command() => {
                let whole = Bytes::from(session.read(&absolute, 0, size, size).await?);
                Ok(whole.slice(range.start as usize..range.end as usize))
            }
            Ok(content) => Ok(Bytes::from(content)),
            Err(trouble) => Err(trouble),
        }
    }

    /// Size of a file; none when it is surely not there.
    async fn known_size(&self, session: &mut Session, absolute: &str) -> Result<Option<u64>, Trouble> {
        match session.size(absolute).await? {
            Size::Bytes(size) => Ok(Some(size)),
            answer => match walk::find(session, absolute).await? {
                None => Ok(None),
                Some(entry) if answer == Size::NotOffered => match entry.size_bytes {
                    Some(size) => Ok(Some(size)),
                    None => Err(Trouble::Told(
                        StoreErrorKind::Other,
                        "the server does not tell the sizes of files".to_owned(),
                    )),
                },
                Some(_) => Err(Trouble::Told(
                    StoreErrorKind::PermissionDenied,
                    "it is there, and the server does not let us read it; check the rights of the user"
                        .to_owned(),
                )),
            },
        }
    }

    async fn delete_object(&self, path: &str) -> Result<bool, StoreError> {
        let error = self.error("delete", path);
        let mut held = self.pool.take().await.map_err(&error)?;
        let result = self.delete_over(&mut held, path).await;
        held.settle(result).map_err(error)
    }

    /// Whether there was something to remove.
    async fn delete_over(&self, session: &mut Session, path: &str) -> Result<bool, Trouble> {
        let absolute = self.path(session, path);
        let reply = session.delete(&absolute).await?;
        if reply.is_done() {
            return Ok(true);
        }
        // Servers use one code for what is not there and for what is not ours.
        if walk::find(session, &absolute).await?.is_some() {
            return Err(Trouble::Refused(reply));
        }
        let root = self.path(session, "");
        walk::check_root(session, &root).await?;
        Ok(false)
    }

    async fn prepare_root(&self, create: bool) -> Result<(), StoreError> {
        let error = self.error("prepare", "(root)");
        let mut held = self.pool.take().await.map_err(&error)?;
        let root = self.path(&held, "");
        let result = if create {
            walk::make_root(&mut held, &root).await
        } else {
            walk::check_root(&mut held, &root).await
        };
        held.settle(result).map_err(error)
    }

    async fn remove_stale(&self, older_than: i64) -> Result<u64, StoreError> {
        let error = self.error("remove_stale_temporaries", "(root)");
        let mut held = self.pool.take().await.map_err(&error)?;
        let root = self.path(&held, "");
        let result = walk::remove_stale_temporaries(&mut held, &root, older_than).await;
        held.settle(result).map_err(error)
    }
}

impl Store for FtpStore {
    fn capability(&self) -> Capability {
        Capability {
            put_if_absent: false,
            range_reads: true,
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
        }
    }

    fn location(&self) -> String {
        self.arguments.location.clone()
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(self.put_object(name, content))
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(async move { self.get_object(&name.to_string(), range).await })
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(self.list_kind(kind))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.delete_object(&name.to_string()).await.map(|_| ()) })
    }

    fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
        Box::pin(self.prepare_root(create))
    }

    fn remove_stale_temporaries(&self, older_than: i64) -> StoreFuture<'_, u64> {
        Box::pin(self.remove_stale(older_than))
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let mut sorter = names::Sorter::new(ObjectKind::Config);
            for entry in self.list_folder("").await?.unwrap_or_default() {
                walk::sort(&mut sorter, "", &entry);
            }
            Ok(sorter.finish().foreign)
        })
    }
}

#[cfg(test)]
mod tests;
