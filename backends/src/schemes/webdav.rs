// SPDX-License-Identifier: Apache-2.0 OR MIT
//! WebDAV: `webdav://host/path`, and `webdavs://` or `use-ssl` for TLS.
//!
//! How the promises of the port are kept: an object is uploaded under a temporary name, looked at (servers have been seen
//! to accept half of an upload), and then moved to its name with `Overwrite: F`. That refuses to replace, but between two
//! machines servers check and rename in two steps, so this is no put-if-absent and the capability says so. A server that
//! cannot move gets the object under its name at once, after a look that the name is free.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};
use reqwest::{Method, StatusCode, Url};

use crate::{
    address::StoreAddress,
    http::client::client,
    registry::OpenError,
    schemes::names::{self, Sorter},
};

mod authentication;
mod connection;
mod files;
mod listing;
mod multistatus;

use connection::{Answer, Connection};

const SCHEME: &str = "webdav";

/// Requests at once: a web server on a small machine is common here.
const CONCURRENT_REQUESTS_MAX: usize = 8;

/// Said with a 502 to a `MOVE`: this is what a server answers when the new name seems to lie at another host.
const PROXY_HINT: &str = "; if that does not pass, a proxy before the server changes host or scheme and leaves the header Destination as it is";

/// Makes the store of a `webdav` or `webdavs` address.
pub fn open(address: &StoreAddress) -> Result<Arc<WebdavStore>, OpenError> {
    let options = &address.options;
    if address.host.is_empty() {
        return Err(OpenError::Missing {
            scheme: SCHEME,
            what: "a host: webdav://host/path",
        });
    }
    let folder = address.remote_folder(SCHEME)?;
    let use_tls = options.flag("use-ssl") || address.scheme == "webdavs";
    let scheme = if use_tls { "https" } else { "http" };
    let port = address.port.map(|port| format!(":{port}")).unwrap_or_default();
    let invalid = |message: String| OpenError::InvalidPath {
        scheme: SCHEME,
        path: format!("{}{port}/{folder}", address.host),
        message,
    };
    let mut root = Url::parse(&format!("{scheme}://{}{port}/", address.host))
        .map_err(|error| invalid(error.to_string()))?;
    {
        let mut segments = root
            .path_segments_mut()
            .map_err(|()| invalid("this is no host".to_owned()))?;
        segments
            .pop_if_empty()
            .extend(folder.split('/').filter(|part| !part.is_empty()));
        // A collection ends in a slash; without it servers redirect.
        segments.push("");
    }
    let connection = Connection::new(
        client(SCHEME, options)?,
        root,
        authentication::Credentials {
            user: address.user.clone(),
            password: address.password.clone(),
            digest_only: options.flag("force-digest-authentication"),
        },
        Arc::clone(&address.limits),
        format!(
            "{SCHEME}{}://{}{port}/{folder}",
            if use_tls { "s" } else { "" },
            address.host
        ),
    );
    Ok(Arc::new(WebdavStore {
        connection,
        folders: Mutex::new(BTreeSet::new()),
        moves: AtomicBool::new(true),
        lists_deep: AtomicBool::new(true),
    }))
}

/// A collection of a WebDAV server.
pub struct WebdavStore {
    connection: Connection,
    /// Folders below the root that are known to exist.
    folders: Mutex<BTreeSet<String>>,
    /// Until a server shows that it cannot.
    moves: AtomicBool,
    /// Until a server refuses to list everything at once.
    lists_deep: AtomicBool,
}

impl WebdavStore {
    async fn put_object(&self, name: &ObjectName, content: Bytes) -> Result<(), StoreError> {
        let connection = &self.connection;
        if content.is_empty() {
            return Err(connection.failure("put", name, StoreErrorKind::Invalid, "an object is never empty"));
        }
        let exists = || {
            connection.failure(
                "put",
                name,
                StoreErrorKind::AlreadyExists,
                "the name exists already",
            )
        };
        let path = name.to_string();
        let moves = self.moves.load(Ordering::Relaxed);
        // Names of packs and segments are random; a name that two may want is looked at in any case.
        let is_contested = matches!(name.kind(), ObjectKind::Config | ObjectKind::Snapshot);
        if (is_contested || !moves) && self.size("put", name, &path).await?.is_some() {
            return Err(exists());
        }
        if moves {
            let (folder, file_name) = names::split(&path);
            let temporary = names::relative(folder, &names::temporary(file_name));
            self.upload(name, &temporary, &content).await?;
            let answer = connection.move_to("put", name, &temporary, &path).await;
            match answer {
                Ok(answer) if is_carried_out(answer.status) => return Ok(()),
                Ok(answer) if answer.status == StatusCode::PRECONDITION_FAILED => {
                    self.remove("put", name, &temporary).await?;
                    return Err(exists());
                }
                Ok(answer) if cannot_move(answer.status) => {
                    self.remove("put", name, &temporary).await?;
                    self.moves.store(false, Ordering::Relaxed);
                    if self.size("put", name, &path).await?.is_some() {
                        return Err(exists());
                    }
                }
                Ok(answer) => {
                    let mut error = connection.refusal("put", name, &answer);
                    if answer.status == StatusCode::BAD_GATEWAY {
                        error.message.push_str(PROXY_HINT);
                    }
                    self.remove("put", name, &temporary).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        self.upload(name, &path, &content).await
    }

    /// Uploads to a path and looks whether all of it arrived.
    async fn upload(&self, name: &ObjectName, path: &str, content: &Bytes) -> Result<(), StoreError> {
        let (folder, _) = names::split(path);
        self.make_folder(name, folder).await?;
        let mut answer = self.connection.put(name, path, content.clone()).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::CONFLICT) {
            // Somebody removed the folder since it was made or seen.
            self.lock_folders().clear();
            self.make_folder(name, folder).await?;
            answer = self.connection.put(name, path, content.clone()).await?;
        }
        if !answer.status.is_success() {
            return Err(self.connection.refusal("put", name, &answer));
        }
        let stored = self.size("put", name, path).await?;
        if stored == Some(content.len() as u64) {
            return Ok(());
        }
        self.remove("put", name, path).await?;
        let stored = stored.map_or_else(|| "nothing".to_owned(), |bytes| format!("{bytes} bytes"));
        let message = format!("the target accepted {} bytes and shows {stored}", content.len());
        Err(self
            .connection
            .failure("put", name, StoreErrorKind::Unavailable, message))
    }

    /// Makes the folder of an object and those above it, below the root.
    async fn make_folder(&self, name: &(impl ToString + Sync), folder: &str) -> Result<(), StoreError> {
        if folder.is_empty() || self.lock_folders().contains(folder) {
            return Ok(());
        }
        let mut made = String::new();
        for part in folder.split('/') {
            made = names::relative(&made, part);
            if self.lock_folders().contains(&made) {
                continue;
            }
            let answer = self
                .connection
                .simple("put", name, mkcol(), &format!("{made}/"))
                .await?;
            match answer.status {
                // 405 says that it exists.
                status if status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED => {}
                StatusCode::CONFLICT | StatusCode::NOT_FOUND => {
                    let message = "the folder of the backup does not exist at the target";
                    return Err(self
                        .connection
                        .failure("put", name, StoreErrorKind::NotFound, message));
                }
                _ => return Err(self.connection.refusal("put", name, &answer)),
            }
            self.lock_folders().insert(made.clone());
        }
        Ok(())
    }

    async fn get_object(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        let path = name.to_string();
        let connection = &self.connection;
        let Some(range) = range else {
            let answer = connection.get(name, &path, None).await?;
            return if answer.status.is_success() {
                Ok(answer.body)
            } else {
                Err(connection.refusal("get", name, &answer))
            };
        };
        let short = |size: u64| {
            let message = format!("{size} bytes stored, {range:?} wanted");
            connection.failure("get", name, StoreErrorKind::Truncated, message)
        };
        if range.start >= range.end {
            let size = self.size("get", name, &path).await?;
            let size = size
                .ok_or_else(|| connection.failure("get", name, StoreErrorKind::NotFound, "no such object"))?;
            return if range.start > range.end || range.end > size {
                Err(short(size))
            } else {
                Ok(Bytes::new())
            };
        }
        let answer = connection.get(name, &path, Some(&range)).await?;
        let wanted = range.end - range.start;
        match answer.status {
            StatusCode::PARTIAL_CONTENT if answer.body.len() as u64 == wanted => Ok(answer.body),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                match self.size("get", name, &path).await? {
                    Some(size) if size < range.end => Err(short(size)),
                    _ => {
                        let message = format!("the target sent {} of {wanted} bytes", answer.body.len());
                        Err(connection.failure("get", name, StoreErrorKind::Unavailable, message))
                    }
                }
            }
            // The server does not know ranges and sent the whole.
            StatusCode::OK if answer.body.len() as u64 >= range.end => {
                Ok(answer.body.slice(range.start as usize..range.end as usize))
            }
            StatusCode::OK => Err(short(answer.body.len() as u64)),
            _ => Err(connection.refusal("get", name, &answer)),
        }
    }

    /// Size of a file; none when it is absent.
    async fn size(
        &self,
        operation: &'static str,
        name: &ObjectName,
        path: &str,
    ) -> Result<Option<u64>, StoreError> {
        let answer = self.connection.propfind(operation, name, path, "0").await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        let entries = self.connection.entries(operation, name, &answer)?;
        Ok(entries.first().and_then(|entry| entry.size_bytes))
    }

    async fn remove(
        &self,
        operation: &'static str,
        name: &(impl ToString + Sync),
        path: &str,
    ) -> Result<(), StoreError> {
        let answer = self
            .connection
            .simple(operation, name, Method::DELETE, path)
            .await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(()),
            status if is_carried_out(status) => Ok(()),
            _ => Err(self.connection.refusal(operation, name, &answer)),
        }
    }

    async fn prepare_root(&self, create: bool) -> Result<(), StoreError> {
        let root = &"(root)";
        let answer = self.connection.propfind("prepare", root, "", "0").await?;
        if answer.status != StatusCode::NOT_FOUND {
            self.connection.entries("prepare", root, &answer)?;
            return Ok(());
        }
        if !create {
            let message = "the folder does not exist at the target";
            return Err(self
                .connection
                .failure("prepare", root, StoreErrorKind::NotFound, message));
        }
        // From the top: those above may be there, may not be ours to see, or are missing as well.
        let mut last: Option<Answer> = None;
        for url in self.connection.root_and_above() {
            last = Some(self.connection.simple_at("prepare", root, mkcol(), url).await?);
        }
        match last {
            Some(answer) if answer.status.is_success() || answer.status == StatusCode::METHOD_NOT_ALLOWED => {
                Ok(())
            }
            Some(answer) => Err(self.connection.refusal("prepare", root, &answer)),
            None => Ok(()),
        }
    }

    fn lock_folders(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mkcol() -> Method {
    Method::from_bytes(b"MKCOL").expect("MKCOL is a valid method name")
}

/// Answers of servers that do not know the method. Nothing else may end the way over a temporary name: a proxy that has a bad
/// moment answers 502 or 400, and afterwards moves again.
fn cannot_move(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// A success that is one: 207 holds failures.
fn is_carried_out(status: StatusCode) -> bool {
    status.is_success() && status != StatusCode::MULTI_STATUS
}

impl Store for WebdavStore {
    fn capability(&self) -> Capability {
        Capability {
            put_if_absent: false,
            range_reads: true,
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
        }
    }

    fn location(&self) -> String {
        self.connection.location().to_owned()
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(self.put_object(name, content))
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(self.get_object(name, range))
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(self.list_kind(kind))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.remove("delete", name, &name.to_string()).await })
    }

    fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
        Box::pin(self.prepare_root(create))
    }

    fn remove_stale_temporaries(&self, older_than: i64) -> StoreFuture<'_, u64> {
        Box::pin(self.remove_stale(older_than))
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let mut sorter = Sorter::new(ObjectKind::Config);
            if let Some(entries) = self.list_folder("", "1").await? {
                self.sort(&entries, "", &mut sorter)?;
            }
            Ok(sorter.finish().foreign)
        })
    }
}

#[cfg(test)]
mod tests;
