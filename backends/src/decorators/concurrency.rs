// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds out how many requests at once a target bears: one more after a round of successes, half as many after it asked
//! for less or did not answer.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use duplicati_engine::storage::{Store, StoreFuture};
use tokio::sync::Semaphore;

use super::{
    decorate_store,
    operation::{Answer, Around, Operation},
};

/// Requests at once to begin with.
const BEGIN: usize = 8;

/// A store with a number of requests at once that adapts.
pub struct ConcurrencyStore {
    inner: Arc<dyn Store>,
    permits: Arc<Semaphore>,
    state: Mutex<State>,
    /// Counts the cuts; a failure of a request that began before the last cut does not cut again.
    cuts: AtomicU64,
    max: usize,
}

struct State {
    limit: usize,
    /// Permits that are out and will not come back.
    owed: usize,
    successes: usize,
}

impl ConcurrencyStore {
    /// Lets at most `capability().concurrent_requests_max` requests through at once, and less when the target suffers.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let max = inner.capability().concurrent_requests_max.max(1);
        let limit = max.min(BEGIN);
        Self {
            inner,
            permits: Arc::new(Semaphore::new(limit)),
            state: Mutex::new(State {
                limit,
                owed: 0,
                successes: 0,
            }),
            cuts: AtomicU64::new(0),
            max,
        }
    }

    /// Requests that may run at once now.
    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self) {
        let mut state = self.lock();
        state.successes += 1;
        if state.successes >= state.limit && state.limit < self.max {
            state.successes = 0;
            state.limit += 1;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.permits.add_permits(1);
            }
        }
    }

    fn suffered(&self, cuts_at_begin: u64) {
        if self
            .cuts
            .compare_exchange(
                cuts_at_begin,
                cuts_at_begin + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_err()
        {
            return;
        }
        let mut state = self.lock();
        let limit = (state.limit / 2).max(1);
        let surplus = state.limit - limit;
        state.limit = limit;
        state.successes = 0;
        let forgotten = self.permits.forget_permits(surplus);
        state.owed += surplus - forgotten;
    }

    /// Whether a permit that comes back is one of those that are owed.
    fn settle(&self) -> bool {
        let mut state = self.lock();
        if state.owed > 0 {
            state.owed -= 1;
            return true;
        }
        false
    }
}

impl Around for ConcurrencyStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        _operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let permit = self
                .permits
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let cuts = self.cuts.load(Ordering::Acquire);
            let result = call.await;
            match &result {
                Err(error) if error.is_retry_sensible() => self.suffered(cuts),
                _ => self.succeeded(),
            }
            if self.settle() {
                permit.forget();
            }
            result
        })
    }
}
decorate_store!(ConcurrencyStore);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use duplicati_engine::storage::{ObjectKind, ObjectName, StoreErrorKind, memory::MemoryStore};

    use super::*;
    use crate::decorators::{Fault, FaultyStore, OperationKind, When};

    #[tokio::test]
    async fn successes_raise_the_number_and_a_failure_halves_it_once() {
        let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let store = Arc::new(ConcurrencyStore::new(faulty.clone()));
        assert_eq!(store.limit(), BEGIN);
        for _ in 0..(64 * 64) {
            store.list(ObjectKind::Key).await.unwrap();
        }
        assert_eq!(store.limit(), 64);
        faulty.add(
            When::every(|operation| operation.kind == OperationKind::Put).times(10),
            Fault::Hang,
        );
        faulty.add(
            When::every(|operation| operation.kind == OperationKind::List).times(1),
            Fault::FailBefore(StoreErrorKind::Unavailable),
        );
        let hanging: Vec<_> = (0..10)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let name = ObjectName::of(ObjectKind::Pack, [number; 16]);
                    store.put(&name, Bytes::from_static(b"x")).await
                })
            })
            .collect();
        faulty.wait_until_hanging(10).await;
        store.list(ObjectKind::Key).await.unwrap_err();
        assert_eq!(store.limit(), 32);
        faulty.release();
        for task in hanging {
            task.await.unwrap().unwrap();
        }
        let owed = store.lock().owed;
        assert_eq!(store.permits.available_permits() + owed, store.limit());
    }

    #[tokio::test]
    async fn permits_that_are_out_are_given_up_when_they_come_back() {
        let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())).with(
            When::every(|operation| operation.kind == OperationKind::Put),
            Fault::Hang,
        ));
        let store = Arc::new(ConcurrencyStore::new(faulty.clone()));
        let hanging: Vec<_> = (0..8)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let name = ObjectName::of(ObjectKind::Pack, [number; 16]);
                    store.put(&name, Bytes::from_static(b"x")).await
                })
            })
            .collect();
        faulty.wait_until_hanging(8).await;
        store.suffered(0);
        let limit = store.limit();
        assert_eq!((limit, store.lock().owed), (4, 4));
        faulty.release();
        for task in hanging {
            task.await.unwrap().unwrap();
        }
        assert_eq!(store.lock().owed, 0);
        assert_eq!(store.permits.available_permits(), store.limit());
    }
}
