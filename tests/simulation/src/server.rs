// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The simulated target, and the requests that wait for their turn.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectInfo, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};
use tokio::sync::{Notify, oneshot};

use crate::planted::Planted;

/// A request.
#[derive(Debug, Clone)]
pub enum Call {
    Put(ObjectName, Bytes),
    Get(ObjectName, Option<Range<u64>>),
    List(ObjectKind),
    Delete(ObjectName),
}

impl Call {
    /// The method and the kind of object, for the log.
    pub fn brief(&self) -> String {
        match self {
            Self::Put(name, _) => format!("put {}", short(name)),
            Self::Get(name, _) => format!("get {}", short(name)),
            Self::List(kind) => format!("list {kind:?}"),
            Self::Delete(name) => format!("delete {}", short(name)),
        }
    }

    /// What stays the same from one run of a seed to the next.
    pub fn shape(&self) -> String {
        match self {
            Self::Put(name, _) => format!("put {:?}", name.kind()),
            Self::Get(name, _) => format!("get {:?}", name.kind()),
            Self::List(kind) => format!("list {kind:?}"),
            Self::Delete(name) => format!("delete {:?}", name.kind()),
        }
    }
}

fn short(name: &ObjectName) -> String {
    name.to_string().chars().take(16).collect()
}

/// What the target says.
pub type Answer = Result<Reply, StoreError>;

/// A good answer.
#[derive(Debug, Clone)]
pub enum Reply {
    Done,
    Content(Bytes),
    Listing(Listing),
}

/// What the loop tells the machine.
pub enum Verdict {
    /// The target's answer.
    Answered(Answer),
    /// Nothing was heard; whether the machine tries again.
    Unheard { retry: bool },
    /// The machine is dead.
    Dead,
}

/// A request that waits.
pub struct Request {
    pub call: Call,
    pub reply: oneshot::Sender<Verdict>,
    /// What a listing saw when it began.
    pub began: Option<Listing>,
}

/// What a machine is doing, as far as planted mistakes ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    #[default]
    Idle,
    Backup,
    Compact,
    Other,
}

/// A machine as the target sees it.
#[derive(Default)]
pub struct Peer {
    pub pending: VecDeque<Request>,
    pub role: Role,
    pub done: bool,
    /// The session that it put last.
    pub session: Option<[u8; 16]>,
    /// The first list of snapshots in its present operation.
    pub first_snapshots: Option<Listing>,
}

/// An object and when it came.
#[derive(Debug, Clone)]
pub struct Stored {
    pub content: Bytes,
    pub number: u64,
}

#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<ObjectName, Stored>,
    pub count: u64,
    pub peers: Vec<Peer>,
    pub planted: Option<Planted>,
    /// Contents that are fences, so that planted mistakes know them.
    pub fences: HashMap<ObjectName, bool>,
}

/// The target.
#[derive(Default)]
pub struct Server {
    state: Mutex<State>,
    /// Something waits, or somebody is done.
    pub changed: Notify,
}

impl Server {
    pub fn new(peers: usize, planted: Option<Planted>) -> Self {
        let server = Self::default();
        {
            let mut state = server.lock();
            state.peers.resize_with(peers, Peer::default);
            state.planted = planted;
        }
        server
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(kind: StoreErrorKind, operation: &'static str, name: &ObjectName) -> StoreError {
    StoreError::new(kind, operation, name, "simulation", format!("{kind:?}"))
}

impl State {
    /// Objects of a kind in the order in which they came: names are random, and the order of a listing must not be.
    pub fn listing(&self, kind: ObjectKind) -> Listing {
        let mut found: Vec<_> = self
            .objects
            .iter()
            .filter(|(name, _)| name.kind() == kind)
            .collect();
        found.sort_by_key(|(_, stored)| stored.number);
        Listing {
            objects: found
                .into_iter()
                .map(|(name, stored)| ObjectInfo {
                    name: *name,
                    size_bytes: stored.content.len() as u64,
                })
                .collect(),
            foreign: Vec::new(),
        }
    }

    /// Does what a request asks for.
    pub fn apply(&mut self, peer: Option<usize>, call: &Call) -> Answer {
        let planted = self.planted;
        let role = peer.map_or(Role::Other, |peer| self.peers[peer].role);
        match call {
            Call::Put(name, content) => {
                let own = peer.and_then(|peer| self.peers[peer].session) == Some(name.id());
                let is_lost = match planted {
                    Some(Planted::LostSessions) => role == Role::Backup && name.kind() == ObjectKind::Session,
                    Some(Planted::LostPack) => {
                        name.kind() == ObjectKind::Pack && self.count.is_multiple_of(41)
                    }
                    _ => false,
                };
                if name.kind() == ObjectKind::Session
                    && let Some(peer) = peer
                {
                    self.peers[peer].session = Some(name.id());
                }
                if self.objects.contains_key(name) && planted != Some(Planted::PutReplaces) {
                    return Err(error(StoreErrorKind::AlreadyExists, "put", name));
                }
                self.count += 1;
                if !is_lost {
                    let stored = Stored {
                        content: Bytes::copy_from_slice(content),
                        number: self.count,
                    };
                    self.objects.insert(*name, stored);
                }
                if role == Role::Compact && name.kind() == ObjectKind::Snapshot && !own {
                    self.fences.insert(*name, true);
                }
                Ok(Reply::Done)
            }
            Call::Get(name, range) => {
                let stored = self
                    .objects
                    .get(name)
                    .ok_or_else(|| error(StoreErrorKind::NotFound, "get", name))?;
                let Some(range) = range else {
                    return Ok(Reply::Content(stored.content.clone()));
                };
                if range.start > range.end || range.end > stored.content.len() as u64 {
                    return Err(error(StoreErrorKind::Truncated, "get", name));
                }
                let content = stored.content.slice(range.start as usize..range.end as usize);
                Ok(Reply::Content(content))
            }
            Call::List(kind) => {
                let is_blind = match planted {
                    Some(Planted::BlindToSessions) => role == Role::Compact && *kind == ObjectKind::Session,
                    _ => false,
                };
                if is_blind {
                    return Ok(Reply::Listing(Listing::default()));
                }
                if planted == Some(Planted::ForgottenFences) && *kind == ObjectKind::Plan {
                    let gone: Vec<_> = self.fences.drain().map(|(name, _)| name).collect();
                    for name in gone {
                        self.objects.remove(&name);
                    }
                }
                let listing = self.listing(*kind);
                if planted == Some(Planted::StaleSnapshots)
                    && role == Role::Compact
                    && *kind == ObjectKind::Snapshot
                    && let Some(peer) = peer
                {
                    let first = self.peers[peer].first_snapshots.get_or_insert(listing);
                    return Ok(Reply::Listing(first.clone()));
                }
                Ok(Reply::Listing(listing))
            }
            Call::Delete(name) => {
                self.objects.remove(name);
                Ok(Reply::Done)
            }
        }
    }
}

/// The target without turns, for the checks.
pub struct Direct(pub std::sync::Arc<Server>);

impl Direct {
    fn call(&self, call: &Call) -> Answer {
        let state = &mut *self.0.lock();
        let planted = state.planted.take();
        let answer = state.apply(None, call);
        state.planted = planted;
        answer
    }
}

macro_rules! answered {
    ($answer:expr, $pattern:pat => $value:expr) => {
        match $answer? {
            $pattern => Ok($value),
            other => unreachable!("the target answered {other:?}"),
        }
    };
}
pub(crate) use answered;

/// What every simulated target can do.
pub fn capability() -> Capability {
    Capability {
        put_if_absent: true,
        range_reads: true,
        // One, so that a machine does not send requests at once whose order nothing decides.
        concurrent_requests_max: 1,
    }
}

impl Store for Direct {
    fn capability(&self) -> Capability {
        capability()
    }
    fn location(&self) -> String {
        "simulation".to_owned()
    }
    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move { answered!(self.call(&Call::Put(*name, content)), Reply::Done => ()) })
    }
    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(
            async move { answered!(self.call(&Call::Get(*name, range)), Reply::Content(content) => content) },
        )
    }
    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(async move { answered!(self.call(&Call::List(kind)), Reply::Listing(listing) => listing) })
    }
    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(async move { answered!(self.call(&Call::Delete(*name)), Reply::Done => ()) })
    }
    fn prepare(&self, _create: bool) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
