// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The connections of one store. Each does one thing at a time; those at rest are kept for the next operation.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{arguments::Arguments, session::Session, trouble::Trouble};

/// A connection that has rested for longer is asked whether it lives before it is used.
const REST_MAX: Duration = Duration::from_secs(5);

pub(super) struct Pool {
    arguments: Arc<Arguments>,
    resting: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
}

/// A connection in use. When this is dropped without [`Held::settle`] the connection ends: nobody knows what is on it.
pub(super) struct Held {
    session: Session,
    resting: Arc<Mutex<Vec<Session>>>,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(arguments: Arc<Arguments>, connections_max: usize) -> Self {
        Self {
            arguments,
            resting: Arc::default(),
            places: Arc::new(Semaphore::new(connections_max)),
        }
    }

    /// A connection for one operation, once there is a place for it.
    pub(super) async fn take(&self) -> Result<Held, Trouble> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| Trouble::broken("the store was closed"))?;
        let session = match self.rested().await {
            Some(session) => session,
            None => Session::open(&self.arguments).await?,
        };
        Ok(Held {
            session,
            resting: Arc::clone(&self.resting),
            _place: place,
        })
    }

    async fn rested(&self) -> Option<Session> {
        loop {
            let mut session = lock(&self.resting).pop()?;
            if session.idle_since.elapsed() < REST_MAX || session.is_alive().await {
                return Some(session);
            }
        }
    }
}

impl Held {
    /// Gives the connection back, if it is in order after what happened.
    pub(super) fn settle<T>(self, result: Result<T, Trouble>) -> Result<T, Trouble> {
        let is_usable = match &result {
            Ok(_) => true,
            Err(trouble) => trouble.leaves_connection_usable(),
        };
        let Self {
            mut session, resting, ..
        } = self;
        if is_usable && !session.is_spent {
            session.idle_since = Instant::now();
            lock(&resting).push(session);
        }
        result
    }
}

impl Deref for Held {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

fn lock(resting: &Mutex<Vec<Session>>) -> MutexGuard<'_, Vec<Session>> {
    // Each change is one call.
    resting.lock().unwrap_or_else(PoisonError::into_inner)
}
