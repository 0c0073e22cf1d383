// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a machine's code talks to: every request waits for its turn, and one of which nothing was heard may be sent again.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};
use tokio::sync::oneshot;

use crate::server::{Answer, Call, Reply, Request, Server, Verdict, answered, capability};

/// Times that a request is sent.
const TRIES_MAX: usize = 4;

/// One process on a machine. After a crash everything fails and nothing reaches the target.
pub struct ClientStore {
    server: Arc<Server>,
    peer: usize,
    is_dead: AtomicBool,
}

impl ClientStore {
    pub fn new(server: Arc<Server>, peer: usize) -> Self {
        Self {
            server,
            peer,
            is_dead: AtomicBool::new(false),
        }
    }

    /// Whether it crashed.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    fn failure(call: &Call, kind: StoreErrorKind, message: &str) -> StoreError {
        let (operation, object) = match call {
            Call::Put(name, _) => ("put", name.to_string()),
            Call::Get(name, _) => ("get", name.to_string()),
            Call::Delete(name) => ("delete", name.to_string()),
            Call::List(kind) => ("list", kind.folder().to_owned()),
        };
        StoreError {
            kind,
            operation,
            object,
            location: "simulation".to_owned(),
            message: message.to_owned(),
            source: None,
            retry_after: None,
        }
    }

    async fn send(&self, call: Call) -> Verdict {
        if self.is_dead() {
            return Verdict::Dead;
        }
        let (reply, verdict) = oneshot::channel();
        self.server.lock().peers[self.peer].pending.push_back(Request {
            call,
            reply,
            began: None,
        });
        self.server.changed.notify_one();
        let verdict = verdict.await.unwrap_or(Verdict::Dead);
        if matches!(verdict, Verdict::Dead) {
            self.is_dead.store(true, Ordering::SeqCst);
        }
        verdict
    }

    async fn call(&self, call: Call) -> Answer {
        let mut is_repeated = false;
        for _ in 0..TRIES_MAX {
            match self.send(call.clone()).await {
                Verdict::Answered(Err(error))
                    if is_repeated && error.kind == StoreErrorKind::AlreadyExists =>
                {
                    // An earlier try may have succeeded: then the very same bytes stand there.
                    let Call::Put(name, content) = &call else {
                        return Err(error);
                    };
                    return match self.send(Call::Get(*name, None)).await {
                        Verdict::Answered(Ok(Reply::Content(stored))) if stored == *content => {
                            Ok(Reply::Done)
                        }
                        Verdict::Answered(_) => Err(error),
                        Verdict::Unheard { .. } | Verdict::Dead => break,
                    };
                }
                Verdict::Answered(answer) => return answer,
                Verdict::Unheard { retry: true } => is_repeated = true,
                Verdict::Unheard { retry: false } | Verdict::Dead => break,
            }
        }
        let (kind, message) = match self.is_dead() {
            true => (StoreErrorKind::Other, "the process has died"),
            false => (StoreErrorKind::Unavailable, "no answer"),
        };
        Err(Self::failure(&call, kind, message))
    }
}

impl Store for ClientStore {
    fn capability(&self) -> Capability {
        capability()
    }
    fn location(&self) -> String {
        "simulation".to_owned()
    }
    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        // A copy, so that the caller's buffer goes back to its pool whatever the target does later.
        let content = Bytes::copy_from_slice(&content);
        Box::pin(async move { answered!(self.call(Call::Put(*name, content)).await, Reply::Done => ()) })
    }
    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(async move {
            answered!(self.call(Call::Get(*name, range)).await, Reply::Content(content) => content)
        })
    }
    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(
            async move { answered!(self.call(Call::List(kind)).await, Reply::Listing(listing) => listing) },
        )
    }
    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(async move { answered!(self.call(Call::Delete(*name)).await, Reply::Done => ()) })
    }
    fn prepare(&self, _create: bool) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
