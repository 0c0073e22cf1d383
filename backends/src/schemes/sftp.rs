// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder of another machine, reached over ssh, as a target. No `ssh` program is needed.
//!
//! Reading order: [`arguments`] (what is known of the target), [`pool`] and [`session`] (connections, and many requests on
//! their way at once), [`put`], [`get`] and [`walk`] (the operations), [`connection`], [`host_key`] and [`login`] (how a
//! connection comes to be), [`packet`] and [`reply`] (the protocol).
//!
//! A connection that breaks is replaced, and what ran on it is tried again a few times: reads and removals as they are, a
//! put by first looking whether it had already worked. The root is made by `prepare` only: a `put` into a root that is gone
//! (a disk that is not mounted at the server) must fail and not fill the disk below.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};

mod address;
mod arguments;
mod connection;
mod errors;
mod files;
mod fingerprint;
mod flow;
mod folders;
mod get;
mod host_key;
mod known_hosts;
mod login;
mod packet;
mod paths;
mod pool;
mod publishing;
mod put;
mod reply;
mod session;
mod sync_folder;
mod upload;
mod walk;

pub use arguments::{DEFAULT_PORT, KEEPALIVE_DEFAULT, LoginKey, SILENCE_DEFAULT, SILENCE_MIN, SftpArguments};
pub use host_key::HostKeyPolicy;

use address::Environment;
use errors::{About, Failure, Trouble};
use folders::Folders;
use packet::Request;
use paths::Paths;
use pool::{Lease, Load, Pool};
use publishing::Publishing;
use put::{Left, Put};
use session::Session;
use sync_folder::OpenFolder;

use crate::{address::StoreAddress, registry::OpenError};

/// Requests at once: enough for four connections that transfer, and small requests beside them.
const CONCURRENT_REQUESTS_MAX: usize = 16;
/// Times that an operation is tried over a new connection before its caller learns of it.
const ATTEMPTS_MAX: u32 = 3;
/// Wait before the second attempt is nothing: most often only an idle connection was closed. Before each further one this.
const ATTEMPT_DELAY: Duration = Duration::from_secs(1);
/// Bytes from which a transfer wants a connection of its own.
const TRANSFER_BYTES_MIN: u64 = 256 << 10;

/// Makes the store of an `ssh` or `sftp` address.
pub fn open(address: &StoreAddress) -> Result<Arc<SftpStore>, OpenError> {
    let arguments = address::arguments(address, &Environment::of_this_process())?;
    Ok(Arc::new(SftpStore::new(arguments)))
}

/// A target behind an SFTP server.
pub struct SftpStore {
    location: String,
    paths: Paths,
    folders: Folders,
    publishing: Publishing,
    pool: Arc<Pool>,
}

impl SftpStore {
    /// A store at a server. Nothing is connected until the first call.
    pub fn new(arguments: SftpArguments) -> Self {
        Self {
            location: arguments.location(),
            paths: Paths::new(arguments.root.clone()),
            folders: Folders::default(),
            publishing: Publishing::default(),
            pool: Arc::new(Pool::new(Arc::new(arguments))),
        }
    }

    fn failure(&self, operation: &'static str, object: impl ToString) -> Failure {
        Failure {
            operation,
            object: object.to_string(),
            location: self.location.clone(),
        }
    }

    /// Runs an operation over a connection, and again over another one when it breaks.
    async fn run<T, F>(
        &self,
        failure: &Failure,
        load: Load,
        work: impl Fn(Lease) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut attempt = 1;
        loop {
            let result = match self.pool.lease(load).await {
                Ok(lease) => work(lease).await,
                Err(trouble) => Err(trouble),
            };
            match result {
                Ok(value) => return Ok(value),
                Err(trouble) if trouble.kind() == StoreErrorKind::Unavailable && attempt < ATTEMPTS_MAX => {
                    let error = failure.of(&trouble);
                    tracing::info!(%error, attempt, "trying again over another connection");
                    if attempt > 1 {
                        tokio::time::sleep(ATTEMPT_DELAY).await;
                    }
                    attempt += 1;
                }
                Err(trouble) => return Err(failure.of(&trouble)),
            }
        }
    }

    async fn put_object(&self, object: &str, content: Bytes) -> Result<(), StoreError> {
        let failure = self.failure("put", object);
        if content.is_empty() {
            return Err(failure.of(&Trouble::told(
                StoreErrorKind::Invalid,
                "an object is never empty",
            )));
        }
        let put = Put {
            paths: &self.paths,
            folders: &self.folders,
            publishing: &self.publishing,
            object,
            content,
        };
        // Attempts come one after the other; the lock only lends what they know to each.
        let left = tokio::sync::Mutex::new(Left::default());
        let length = put.content.len() as u64;
        let (put, left) = (&put, &left);
        self.run(&failure, load_of(length), |lease| async move {
            match put.attempt(&lease, &mut *left.lock().await).await {
                Err(trouble) if trouble.is_plain_failure() => {
                    Err(self.why_no_write(&lease, trouble, length).await)
                }
                result => result,
            }
        })
        .await
    }

    /// Servers say of a full disk only that something failed; the state of the disk says more.
    async fn why_no_write(&self, session: &Session, trouble: Trouble, length: u64) -> Trouble {
        if !session.server.can_show_file_system {
            return trouble;
        }
        let mut found = None;
        // The root may not be there yet; then the folder above it tells.
        for path in self.paths.root_and_above().into_iter().rev() {
            if let Ok(reply) = session.ask(Request::FileSystem { path }).await
                && let Ok(room) = reply.into_file_system()
            {
                found = Some(room);
                break;
            }
        }
        let Some(room) = found else { return trouble };
        let root = String::from_utf8_lossy(self.paths.root());
        if room.is_read_only {
            let message = format!(
                "{root}: the server's file system is read-only; mount it for writing, and check the disk if it changed by itself"
            );
            return Trouble::told(StoreErrorKind::PermissionDenied, message);
        }
        let no_files = room.total_files > 0 && room.available_files == 0;
        if room.available_bytes < length || no_files {
            let message = format!(
                "{root}: no space left at the server ({} bytes, {} files); free space there, or move the repository to a larger disk",
                room.available_bytes, room.available_files
            );
            return Trouble::told(StoreErrorKind::NoSpace, message);
        }
        trouble
    }

    async fn delete_object(&self, lease: &Lease, object: &str) -> Result<(), Trouble> {
        let path = self.paths.of(object);
        let request = Request::Remove { path: path.clone() };
        match lease.ask(request).await?.into_done().about(&path) {
            // An absent folder holds nothing, but an absent root is a target that is not there.
            Err(trouble) if trouble.is_no_such_file() => walk::check_root(lease, &self.paths).await,
            result => result,
        }
    }

    /// Makes the root and the folders above it, where they are missing.
    async fn make_root(&self, session: &Session) -> Result<(), Trouble> {
        match walk::check_root(session, &self.paths).await {
            Err(trouble) if trouble.is_no_such_file() => {}
            result => return result,
        }
        let mut result = Ok(());
        for path in self.paths.root_and_above() {
            let request = Request::MakeFolder { path: path.clone() };
            // Those above may exist, and be out of our reach; the last one decides.
            result = session.ask(request).await?.into_done().about(&path);
            if result.is_ok() {
                let parent = paths::parent(&path);
                let pending = OpenFolder::request(session, parent.clone()).await?;
                OpenFolder::opened(session, pending).await?.sync(&parent).await?;
            }
        }
        let Err(trouble) = result else { return Ok(()) };
        if walk::check_root(session, &self.paths).await.is_ok() {
            // Somebody else made it meanwhile.
            Ok(())
        } else if trouble.is_plain_failure() {
            Err(self.why_no_write(session, trouble, 1).await)
        } else {
            Err(trouble)
        }
    }

    async fn make_ready(&self, lease: &Lease) -> Result<(), Trouble> {
        self.make_root(lease).await?;
        let mut pendings = Vec::new();
        for kind in ObjectKind::ALL
            .into_iter()
            .filter(|kind| !kind.folder().is_empty())
        {
            let path = self.paths.of(kind.folder());
            pendings.push((
                lease.send(Request::MakeFolder { path: path.clone() }).await?,
                path,
            ));
        }
        for (pending, path) in pendings {
            if let Err(trouble) = pending.reply().await?.into_done().about(&path) {
                // Most servers say of a folder that exists only that something failed.
                let request = Request::InspectTarget { path };
                lease.ask(request).await?.into_attributes().map_err(|_| trouble)?;
            }
        }
        self.publishing.prove_with_a_file(lease, &self.paths).await
    }
}

fn load_of(length: u64) -> Load {
    if length < TRANSFER_BYTES_MIN {
        Load::Light
    } else {
        Load::Transfer
    }
}

impl Store for SftpStore {
    fn capability(&self) -> Capability {
        Capability {
            put_if_absent: self.publishing.is_exclusive(),
            range_reads: true,
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
        }
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.put_object(&name.to_string(), content).await })
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(async move {
            let object = name.to_string();
            let path = self.paths.of(&object);
            let load = match &range {
                Some(range) => load_of(range.end.saturating_sub(range.start)),
                None if name.kind() == ObjectKind::Pack => Load::Transfer,
                None => Load::Light,
            };
            let (path, range) = (&path, &range);
            self.run(&self.failure("get", &object), load, |lease| async move {
                get::read(&lease, path, range.clone()).await
            })
            .await
        })
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(async move {
            let what = if kind.folder().is_empty() {
                "(root)"
            } else {
                kind.folder()
            };
            self.run(&self.failure("list", what), Load::Light, |lease| async move {
                walk::list(&lease, &self.paths, kind).await
            })
            .await
        })
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let object = &name.to_string();
            self.run(&self.failure("delete", object), Load::Light, |lease| async move {
                self.delete_object(&lease, object).await
            })
            .await
        })
    }

    fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.run(
                &self.failure("prepare", "(root)"),
                Load::Light,
                |lease| async move {
                    match create {
                        true => self.make_ready(&lease).await,
                        false => walk::check_root(&lease, &self.paths).await,
                    }
                },
            )
            .await
        })
    }

    /// By the server's clock. Only names of our exact grammar are touched; a writer that is still at work keeps its file young,
    /// and if it does lose it, its `put` begins again.
    fn remove_stale_temporaries(&self, older_than: i64) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let failure = self.failure("remove_stale_temporaries", "(root)");
            self.run(&failure, Load::Light, |lease| async move {
                walk::remove_stale_temporaries(&lease, &self.paths, older_than).await
            })
            .await
        })
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            self.run(&self.failure("list", "(root)"), Load::Light, |lease| async move {
                walk::list_foreign_root(&lease, &self.paths).await
            })
            .await
        })
    }
}
