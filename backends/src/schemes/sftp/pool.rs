// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The connections of one store: shared by all operations, opened as transfers ask for them, replaced when they break.
//!
//! Small requests of many operations share one connection well. Transfers are spread: a server takes only so much per
//! connection ahead of its answers, and each connection is enciphered by one core at either end.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use duplicati_engine::storage::StoreErrorKind;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{arguments::SftpArguments, connection, errors::Trouble, login::Credentials, session::Session};

/// Connections at once. OpenSSH lets 2 MiB per connection be on their way, so that four fill a gigabit at 60 ms; many
/// providers allow no more than ten per account.
const CONNECTIONS_MAX: usize = 4;

/// What an operation needs a connection for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// A few small requests.
    Light,
    /// Enough bytes to want a connection of its own.
    Transfer,
}

pub(super) struct Pool {
    arguments: Arc<SftpArguments>,
    credentials: OnceLock<Arc<Credentials>>,
    /// The offer of host keys that the server's key came with.
    offer: Mutex<usize>,
    state: Mutex<State>,
    /// The attempt that goes on now, shared by all who need a connection, with its failure: servers drop those who knock too
    /// often at once, and a login that is slow is not made faster by callers that give up and begin another.
    connecting: Mutex<Option<Attempt>>,
}

/// An attempt to connect. It runs in a task of its own, so that nobody who gives up ends it for the others.
type Attempt = Shared<BoxFuture<'static, Result<Arc<Session>, (StoreErrorKind, String)>>>;

struct State {
    sessions: Vec<Arc<Session>>,
    /// Lowered when the server refuses one more.
    sessions_max: usize,
}

/// A connection in use by one operation.
pub(super) struct Lease {
    session: Arc<Session>,
    load: Load,
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Lease {
    fn new(session: Arc<Session>, load: Load) -> Self {
        if load == Load::Transfer {
            session.begin_transfer();
        }
        Self { session, load }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.load == Load::Transfer {
            self.session.end_transfer();
        }
    }
}

impl Pool {
    pub(super) fn new(arguments: Arc<SftpArguments>) -> Self {
        Self {
            arguments,
            credentials: OnceLock::new(),
            offer: Mutex::new(0),
            state: Mutex::new(State {
                sessions: Vec::new(),
                sessions_max: CONNECTIONS_MAX,
            }),
            connecting: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection for an operation.
    pub(super) async fn lease(self: &Arc<Self>, load: Load) -> Result<Lease, Trouble> {
        if let Some(lease) = self.lease_open(load) {
            return Ok(lease);
        }
        match self.attempt().await {
            Ok(session) => Ok(Lease::new(session, load)),
            Err((kind, message)) => Err(Trouble::told(kind, message)),
        }
    }

    fn lock_connecting(&self) -> MutexGuard<'_, Option<Attempt>> {
        // Each change is whole in itself.
        self.connecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempt that goes on, or a new one.
    fn attempt(self: &Arc<Self>) -> Attempt {
        let mut connecting = self.lock_connecting();
        if let Some(attempt) = &*connecting {
            return attempt.clone();
        }
        let pool = Arc::clone(self);
        let task = tokio::spawn(async move {
            let result = pool.connect().await;
            if let Err(trouble) = &result {
                // What is open has to do; once it is gone, the count starts again.
                let mut state = pool.lock();
                if !state.sessions.is_empty() {
                    state.sessions_max = state.sessions.len();
                    tracing::info!(
                        ?trouble,
                        connections = state.sessions_max,
                        "the server takes no further connection"
                    );
                }
            }
            // From here on a caller begins anew; those who wait have this result.
            *pool.lock_connecting() = None;
            result.map_err(|trouble| (trouble.kind(), trouble.message()))
        });
        let cut_off = || {
            (
                StoreErrorKind::Unavailable,
                "the connecting was cut off".to_owned(),
            )
        };
        let attempt = task
            .map(move |joined| joined.unwrap_or_else(|_| Err(cut_off())))
            .boxed()
            .shared();
        *connecting = Some(attempt.clone());
        attempt
    }

    /// The least busy of the open connections; opens one more for the next when all are busy.
    fn lease_open(self: &Arc<Self>, load: Load) -> Option<Lease> {
        let (session, wants_more) = {
            let mut state = self.lock();
            state.sessions.retain(|session| !session.is_broken());
            let session = Arc::clone(state.sessions.iter().min_by_key(|session| session.transfers())?);
            let has_room = state.sessions.len() < state.sessions_max;
            let wants_more = load == Load::Transfer && session.transfers() > 0 && has_room;
            (session, wants_more)
        };
        if wants_more {
            let _for_the_next = self.attempt();
        }
        Some(Lease::new(session, load))
    }

    async fn connect(&self) -> Result<Arc<Session>, Trouble> {
        let credentials = match self.credentials.get() {
            Some(credentials) => Arc::clone(credentials),
            None => {
                let arguments = Arc::clone(&self.arguments);
                // Opening a protected key takes a second of computing on purpose.
                let loaded = tokio::task::spawn_blocking(move || Credentials::load(&arguments)).await;
                let loaded =
                    loaded.map_err(|error| Trouble::passing(format!("the login was cut off: {error}")))??;
                Arc::clone(self.credentials.get_or_init(|| Arc::new(loaded)))
            }
        };
        let session = Arc::new(connection::open(&self.arguments, &credentials, &self.offer).await?);
        let mut state = self.lock();
        if state.sessions.is_empty() {
            state.sessions_max = CONNECTIONS_MAX;
        }
        state.sessions.push(Arc::clone(&session));
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::schemes::sftp::{HostKeyPolicy, KEEPALIVE_DEFAULT, SILENCE_DEFAULT};

    #[tokio::test]
    async fn callers_that_need_a_connection_share_one_attempt_and_its_failure() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let knocks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&knocks);
        let (release, released) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut released = released.clone();
                tokio::spawn(async move {
                    let _ = released.wait_for(|is_released| *is_released).await;
                    drop(client);
                });
            }
        });
        let pool = Arc::new(Pool::new(Arc::new(SftpArguments {
            host: "127.0.0.1".to_owned(),
            port,
            user: "me".to_owned(),
            password: Some("x".into()),
            key: None,
            agent: None,
            host_key: HostKeyPolicy::any(),
            root: bytes::Bytes::from_static(b"/x"),
            silence: SILENCE_DEFAULT,
            keepalive: Some(KEEPALIVE_DEFAULT),
            limits: Arc::default(),
        })));
        let mut leases: Vec<_> = (0..8).map(|_| Box::pin(pool.lease(Load::Light))).collect();
        for lease in &mut leases {
            assert!(futures_util::poll!(lease).is_pending());
        }
        // One that gives up does not end the attempt of the others.
        drop(leases.pop());
        release.send_replace(true);
        for lease in leases {
            assert!(lease.await.is_err());
        }
        assert_eq!(knocks.load(Ordering::SeqCst), 1);
        assert!(pool.lease(Load::Light).await.is_err());
        assert_eq!(knocks.load(Ordering::SeqCst), 2);
    }
}
