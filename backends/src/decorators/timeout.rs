// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ends calls that stand still, so that the retry around can put a new one in their place.
//!
//! A call may take as long as it likes while something moves, and while it waits for our own limits. A store that shows no signs
//! of life gets time by size.

use std::{future::Future, sync::Arc, time::Duration};

use duplicati_engine::storage::{Store, StoreError, StoreErrorKind, StoreFuture};
use tokio::time::{Instant, sleep};

use super::{
    decorate_store,
    operation::{Answer, Around, Operation, OperationKind},
};
use crate::{options::StoreOptions, transfer::Progress};

/// How long without an answer; none is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutOptions {
    /// A transfer in which nothing moves.
    pub transfer: Option<Duration>,
    /// A small request.
    pub short: Option<Duration>,
    /// A listing.
    pub list: Option<Duration>,
    /// Whether the store shows signs of life while bytes move; one that does not gets more time for more bytes.
    pub shows_life: bool,
}

/// Defaults as in the table of options.
const TRANSFER_DEFAULT: Duration = Duration::from_secs(30);
const SHORT_DEFAULT: Duration = Duration::from_secs(30);
const LIST_DEFAULT: Duration = Duration::from_secs(600);
/// Least time of a call to the local file system.
const LOCAL_MIN: Duration = Duration::from_secs(600);
/// The slowest line that a store without signs of life may have, bytes per second.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;
/// Taken for the size of an object that is read whole without signs of life: the largest pack, bytes.
const UNKNOWN_SIZE_BYTES: u64 = 64 << 20;
/// A call is looked at so many times in its time-out.
const LOOKS: u32 = 4;

impl Default for TimeoutOptions {
    fn default() -> Self {
        Self {
            transfer: Some(TRANSFER_DEFAULT),
            short: Some(SHORT_DEFAULT),
            list: Some(LIST_DEFAULT),
            shows_life: false,
        }
    }
}

impl TimeoutOptions {
    /// From `read-write-timeout`, `short-timeout` and `list-timeout`; 0 is never.
    pub fn of(options: &StoreOptions) -> Self {
        let chosen = |name: &str, default: Duration| {
            Some(options.duration(name).unwrap_or(default)).filter(|timeout| !timeout.is_zero())
        };
        Self {
            transfer: chosen("read-write-timeout", TRANSFER_DEFAULT),
            short: chosen("short-timeout", SHORT_DEFAULT),
            list: chosen("list-timeout", LIST_DEFAULT),
            shows_life: true,
        }
    }

    /// For a folder of this machine: disks spin up, and a write may wait for all that others wrote. Only what is surely dead, a
    /// network file system whose server is gone, must not be waited for without end.
    pub fn local(options: &StoreOptions) -> Self {
        let at_least = |timeout: Option<Duration>| timeout.map(|timeout| timeout.max(LOCAL_MIN));
        let chosen = Self::of(options);
        Self {
            transfer: at_least(chosen.transfer),
            short: at_least(chosen.short),
            list: at_least(chosen.list),
            shows_life: false,
        }
    }

    /// More time before the first sign of life, for a store that gives none: by the bytes that are asked for.
    fn allowance(&self, operation: &Operation) -> Duration {
        let is_transfer = matches!(operation.kind, OperationKind::Put | OperationKind::Get);
        if self.shows_life || !is_transfer {
            return Duration::ZERO;
        }
        let size_bytes = match (&operation.range, operation.kind) {
            (Some(range), _) => range.end.saturating_sub(range.start).min(UNKNOWN_SIZE_BYTES),
            (None, OperationKind::Get) => UNKNOWN_SIZE_BYTES,
            (None, _) => operation.size_bytes,
        };
        Duration::from_secs(size_bytes / SLOWEST_BYTES_PER_SECOND)
    }
}

/// A store whose calls end.
pub struct TimeoutStore {
    inner: Arc<dyn Store>,
    options: TimeoutOptions,
}

impl TimeoutStore {
    /// Watches the calls to `inner`.
    pub fn new(inner: Arc<dyn Store>, options: TimeoutOptions) -> Self {
        Self { inner, options }
    }

    fn stuck(&self, operation: &Operation, timeout: Duration, option: &str) -> StoreError {
        let message = format!(
            "nothing was heard from the target for {} s (--{option})",
            timeout.as_secs_f64()
        );
        operation.error(StoreErrorKind::Unavailable, self.inner.location(), &message)
    }
}

/// Watches over a call: it ends when nothing moved for `timeout`, and before the first sign of life `allowance` later.
/// Waits of our own making do not count. None is what came to an end that way.
pub(super) async fn watch<T>(
    call: impl Future<Output = T>,
    timeout: Duration,
    allowance: Duration,
) -> Option<T> {
    let progress = Arc::new(Progress::default());
    tokio::select! {
        result = Arc::clone(&progress).watch(call) => Some(result),
        () = stands_still(&progress, timeout, allowance) => None,
    }
}

async fn stands_still(progress: &Progress, timeout: Duration, allowance: Duration) {
    let mut seen = progress.pieces();
    let mut quiet = Duration::ZERO;
    loop {
        let begin = Instant::now();
        sleep(timeout / LOOKS).await;
        let now = progress.pieces();
        if now != seen || progress.is_waiting() {
            seen = now;
            quiet = Duration::ZERO;
            continue;
        }
        quiet += begin.elapsed();
        let bound = if now == 0 {
            timeout.saturating_add(allowance)
        } else {
            timeout
        };
        if quiet >= bound {
            return;
        }
    }
}

impl Around for TimeoutStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let (timeout, option) = match operation.kind {
            OperationKind::Put | OperationKind::Get => (self.options.transfer, "read-write-timeout"),
            OperationKind::List | OperationKind::ListForeignRoot | OperationKind::RemoveStaleTemporaries => {
                (self.options.list, "list-timeout")
            }
            OperationKind::Delete | OperationKind::Prepare => (self.options.short, "short-timeout"),
        };
        let Some(timeout) = timeout else { return call };
        Box::pin(async move {
            let allowance = self.options.allowance(&operation);
            match watch(call, timeout, allowance).await {
                Some(result) => result,
                None => Err(self.stuck(&operation, timeout, option)),
            }
        })
    }
}
decorate_store!(TimeoutStore);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use duplicati_engine::storage::{ObjectKind, ObjectName, memory::MemoryStore};

    use super::*;
    use crate::decorators::{Fault, FaultyStore, RetryStore, SlowStore, When, retry::RetryOptions};
    use crate::transfer::RateLimit;

    fn name() -> ObjectName {
        ObjectName::of(ObjectKind::Pack, [1; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_transfer_is_replaced_by_a_new_one() {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new())).with(When::number(0), Fault::Hang);
        let timeout = TimeoutStore::new(Arc::new(faulty), TimeoutOptions::default());
        let store = RetryStore::new(Arc::new(timeout), RetryOptions::default());
        store.put(&name(), Bytes::from_static(b"x")).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_call_ends() {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new())).with(When::every(|_| true), Fault::Hang);
        let store = TimeoutStore::new(Arc::new(faulty), TimeoutOptions::default());
        let error = store.put(&name(), Bytes::from_static(b"x")).await.unwrap_err();
        assert!(
            error.is_retry_sensible() && error.message.contains("read-write-timeout"),
            "{error}"
        );
        assert!(store.get(&name(), None).await.is_err());
        assert!(store.delete(&name()).await.is_err());
        assert!(store.list(ObjectKind::Pack).await.is_err());
        assert!(store.prepare(true).await.is_err());
        assert!(store.list_foreign_root().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_store_without_signs_of_life_gets_time_by_size() {
        let memory = Arc::new(MemoryStore::new());
        let slow = SlowStore::new(memory, Duration::from_secs(100), None);
        let store = TimeoutStore::new(Arc::new(slow), TimeoutOptions::default());
        store.put(&name(), Bytes::from(vec![1; 4 << 20])).await.unwrap();
        let error = store.get(&name(), Some(0..10)).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_in_which_bytes_move_may_take_for_ever_and_one_that_stops_may_not() {
        let progress = Progress::default();
        let moving = async {
            for _ in 0..100 {
                sleep(Duration::from_secs(20)).await;
                progress.step();
            }
        };
        tokio::select! {
            () = moving => {}
            () = stands_still(&progress, Duration::from_secs(30), Duration::ZERO) => panic!("bytes were moving"),
        }
        let begin = Instant::now();
        stands_still(&progress, Duration::from_secs(30), Duration::MAX).await;
        assert!(begin.elapsed() <= Duration::from_secs(40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_our_own_limit_is_not_the_silence_of_the_target() {
        let limit = RateLimit::new(1);
        limit.pass(1).await;
        let slow = async {
            limit.pass(500).await;
            limit.pass(1).await;
        };
        assert!(
            watch(slow, Duration::from_secs(30), Duration::ZERO)
                .await
                .is_some()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_get_from_a_store_that_shows_life_is_given_up_as_soon_as_a_small_one() {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new())).with(When::every(|_| true), Fault::Hang);
        let options = TimeoutOptions::of(&StoreOptions::default());
        let store = TimeoutStore::new(Arc::new(faulty), options);
        let begin = Instant::now();
        store.get(&name(), None).await.unwrap_err();
        assert!(
            begin.elapsed() <= Duration::from_secs(40),
            "{:?}",
            begin.elapsed()
        );
    }
}
