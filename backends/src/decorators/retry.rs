// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tries again what failed for a reason that may pass: no answer, a broken connection, a target that asks for patience.
//!
//! A `put` is never repeated blindly. After an answer was lost nobody knows whether the object is there; when the next try
//! meets the name, the stored bytes decide: ours mean success, others mean that somebody else was first. So the exclusive
//! `put` of a manifest keeps its meaning over a bad line.

use std::{
    future::Future,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};
use tokio::time::{Instant, sleep};

use crate::options::StoreOptions;

/// How often and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Tries after the first one; 0 never tries again.
    pub retries: u32,
    /// Wait before each.
    pub delay: Duration,
    /// Whether the wait doubles each time.
    pub is_exponential: bool,
    /// A target that fails for less time than this does not end a run, however few tries that takes.
    pub patience: Duration,
}

/// Tries after the first one unless chosen.
const RETRIES_DEFAULT: u32 = 5;
/// Most tries after the first one, whatever is asked for.
const RETRIES_MAX: u32 = 10_000;
/// Tries after the first one that may follow as closely as the user likes; further ones wait for [`DELAY_MIN_LATER`].
const CLOSE_RETRIES_MAX: u32 = 5;
/// Shortest wait when there were many tries: a long outage must not become a loop that burns a core and floods the target.
const DELAY_MIN_LATER: Duration = Duration::from_secs(1);
/// Wait before each unless chosen.
const DELAY_DEFAULT: Duration = Duration::from_secs(10);
/// Longest wait, also of a doubled one.
const DELAY_MAX: Duration = Duration::from_secs(300);
/// Restarts and failovers of services take about a minute.
const PATIENCE: Duration = Duration::from_secs(120);
/// Waits differ by up to this share, so that many clients do not come back at once.
const JITTER: f64 = 0.25;

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            retries: RETRIES_DEFAULT,
            delay: DELAY_DEFAULT,
            is_exponential: false,
            patience: PATIENCE,
        }
    }
}

impl RetryOptions {
    /// From `number-of-retries`, `retry-delay` and `retry-with-exponential-backoff`.
    pub fn of(options: &StoreOptions) -> Self {
        let retries = options.number("number-of-retries");
        Self {
            retries: retries.map_or(RETRIES_DEFAULT, |count| {
                u32::try_from(count).unwrap_or(RETRIES_MAX).min(RETRIES_MAX)
            }),
            delay: options
                .duration("retry-delay")
                .unwrap_or(DELAY_DEFAULT)
                .min(DELAY_MAX),
            is_exponential: options.flag("retry-with-exponential-backoff"),
            patience: PATIENCE,
        }
    }

    /// The wait before try `number` (the first retry is 1), without jitter.
    fn delay_before(&self, number: u32) -> Duration {
        let floor = if number > CLOSE_RETRIES_MAX {
            DELAY_MIN_LATER
        } else {
            Duration::ZERO
        };
        let delay = if self.is_exponential {
            let factor = 2u32.saturating_pow(number.saturating_sub(1).min(16));
            self.delay.saturating_mul(factor).min(DELAY_MAX)
        } else {
            self.delay
        };
        delay.max(floor)
    }
}

/// A store that tries again.
pub struct RetryStore {
    inner: Arc<dyn Store>,
    options: RetryOptions,
    /// Whether a connection to the target has ever come about.
    has_answered: AtomicBool,
}

impl RetryStore {
    /// Tries calls to `inner` again.
    pub fn new(inner: Arc<dyn Store>, options: RetryOptions) -> Self {
        Self {
            inner,
            options,
            has_answered: AtomicBool::new(false),
        }
    }

    async fn persist<'a, T, F: Future<Output = Result<T, StoreError>> + Send + 'a>(
        &'a self,
        mut attempt: impl FnMut() -> F + Send + 'a,
    ) -> Result<T, StoreError> {
        let mut first_failure = None;
        let mut number = 0;
        loop {
            let result = attempt().await;
            let is_unreachable = matches!(&result, Err(error) if error.kind == StoreErrorKind::Unreachable);
            if !is_unreachable {
                self.has_answered.store(true, Ordering::Relaxed);
            }
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) if !error.is_retry_sensible() => return Err(error),
                Err(error) => error,
            };
            number += 1;
            let failing_since = *first_failure.get_or_insert_with(Instant::now);
            // Patience is for a target that had answered; a wrong host name is told after the number of tries asked for.
            let is_patient = self.options.retries > 0
                && error.retry_after.is_none_or(|wish| wish < self.options.patience)
                && failing_since.elapsed() < self.options.patience
                && self.has_answered.load(Ordering::Relaxed);
            if number > self.options.retries && !is_patient {
                return Err(gave_up(error, number));
            }
            let jitter = 1.0 - JITTER + 2.0 * JITTER * rand::random::<f64>();
            let delay = self.options.delay_before(number).mul_f64(jitter);
            let delay = delay.max(error.retry_after.unwrap_or_default());
            tracing::info!(
                target: "duplicati::retry",
                "{} {}: {}; try {} follows in {} s",
                error.operation, error.object, error.message, number + 1, delay.as_secs_f64().ceil(),
            );
            sleep(delay).await;
        }
    }
}

fn gave_up(mut error: StoreError, tries: u32) -> StoreError {
    if tries > 1 {
        error.message = format!("{} (after {tries} tries)", error.message);
    }
    error
}

impl Store for RetryStore {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        let mut tries = 0;
        Box::pin(self.persist(move || {
            let may_be_there = tries > 0;
            tries += 1;
            let content = content.clone();
            async move {
                match self.inner.put(name, content.clone()).await {
                    Err(error) if may_be_there && error.kind == StoreErrorKind::AlreadyExists => {
                        if self.inner.get(name, None).await? == content {
                            Ok(())
                        } else {
                            Err(error)
                        }
                    }
                    other => other,
                }
            }
        }))
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(self.persist(move || self.inner.get(name, range.clone())))
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(self.persist(move || self.inner.list(kind)))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(self.persist(move || self.inner.delete(name)))
    }

    fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
        Box::pin(self.persist(move || self.inner.prepare(create)))
    }

    fn remove_stale_temporaries(&self, older_than: i64) -> StoreFuture<'_, u64> {
        Box::pin(self.persist(move || self.inner.remove_stale_temporaries(older_than)))
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(self.persist(move || self.inner.list_foreign_root()))
    }
}

#[cfg(test)]
mod tests {
    use duplicati_engine::storage::memory::MemoryStore;

    use super::*;
    use crate::decorators::{Fault, FaultyStore, OperationKind, RecordingStore, When};
    use crate::options::OptionValue;

    fn name(number: u8) -> ObjectName {
        ObjectName::of(ObjectKind::Snapshot, [number; 16])
    }

    struct Rig {
        memory: Arc<MemoryStore>,
        recording: Arc<RecordingStore>,
        faulty: Arc<FaultyStore>,
        store: RetryStore,
    }

    fn rig(options: RetryOptions) -> Rig {
        let memory = Arc::new(MemoryStore::new());
        let recording = Arc::new(RecordingStore::new(memory.clone()));
        let faulty = Arc::new(FaultyStore::new(recording.clone()));
        Rig {
            memory,
            recording,
            store: RetryStore::new(faulty.clone(), options),
            faulty,
        }
    }

    fn any_put() -> When {
        When::every(|operation| operation.kind == OperationKind::Put)
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_whose_answer_was_lost_succeeds_by_what_is_stored() {
        let rig = rig(RetryOptions::default());
        rig.faulty.add(
            any_put().times(1),
            Fault::FailAfterCommit(StoreErrorKind::Unavailable),
        );
        rig.store
            .put(&name(1), Bytes::from_static(b"mine"))
            .await
            .unwrap();
        assert_eq!(rig.memory.inventory().len(), 1);
        assert_eq!(rig.recording.count(OperationKind::Put, ObjectKind::Snapshot), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_that_lost_its_answer_and_the_race_says_so() {
        let rig = rig(RetryOptions::default());
        rig.faulty
            .add(any_put().times(1), Fault::FailBefore(StoreErrorKind::Unavailable));
        rig.memory
            .put(&name(1), Bytes::from_static(b"theirs"))
            .await
            .unwrap();
        let error = rig
            .store
            .put(&name(1), Bytes::from_static(b"mine"))
            .await
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
        assert_eq!(rig.memory.get(&name(1), None).await.unwrap(), "theirs");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_was_taken_before_is_not_looked_at() {
        let rig = rig(RetryOptions::default());
        rig.memory
            .put(&name(1), Bytes::from_static(b"same"))
            .await
            .unwrap();
        let error = rig
            .store
            .put(&name(1), Bytes::from_static(b"same"))
            .await
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
        assert_eq!(rig.recording.count(OperationKind::Get, ObjectKind::Snapshot), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_fails_for_a_minute_ends_nothing_whatever_the_delay() {
        for delay in [0, 1, 10] {
            let memory = Arc::new(MemoryStore::new());
            let options = RetryOptions {
                delay: Duration::from_millis(delay * 1_000 + 100),
                ..RetryOptions::default()
            };
            let back_at = Instant::now() + Duration::from_secs(60);
            let down = When::every(move |_| Instant::now() < back_at);
            let faulty = FaultyStore::new(memory).with(down, Fault::FailBefore(StoreErrorKind::Unavailable));
            let store = RetryStore::new(Arc::new(faulty), options);
            store.put(&name(1), Bytes::from_static(b"x")).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tries_end_and_the_error_says_how_many_there_were() {
        let rig = rig(RetryOptions {
            patience: Duration::ZERO,
            retries: 3,
            ..RetryOptions::default()
        });
        rig.faulty.add(
            When::every(|_| true),
            Fault::FailBefore(StoreErrorKind::Unavailable),
        );
        let error = rig.store.list(ObjectKind::Key).await.unwrap_err();
        assert!(error.message.contains("4 tries"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_retries_and_for_what_cannot_pass_there_is_one_try() {
        let rig = rig(RetryOptions {
            retries: 0,
            ..RetryOptions::default()
        });
        rig.faulty
            .add(When::number(0), Fault::FailBefore(StoreErrorKind::Unavailable));
        assert!(rig.store.list(ObjectKind::Key).await.is_err());
        assert!(rig.store.list(ObjectKind::Key).await.is_ok());
        let begin = Instant::now();
        rig.faulty.add(
            When::every(|_| true),
            Fault::FailBefore(StoreErrorKind::PermissionDenied),
        );
        assert!(rig.store.list(ObjectKind::Key).await.is_err());
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_of_nothing_does_not_become_a_loop_without_rest() {
        let rig = rig(RetryOptions {
            delay: Duration::ZERO,
            ..RetryOptions::default()
        });
        rig.faulty.add(
            When::every(|_| true),
            Fault::FailBefore(StoreErrorKind::Unavailable),
        );
        rig.store.list(ObjectKind::Key).await.unwrap_err();
        // Two minutes of patience at a second each, and the jitter.
        assert!(rig.faulty.calls() < 200, "{}", rig.faulty.calls());
        let endless = StoreOptions::default().with("number-of-retries", OptionValue::Number(i64::MAX));
        assert_eq!(RetryOptions::of(&endless).retries, RETRIES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_name_is_told_soon_and_a_target_that_restarts_is_waited_for() {
        let options = RetryOptions {
            delay: Duration::from_secs(1),
            ..RetryOptions::default()
        };
        let unreachable = || Fault::FailBefore(StoreErrorKind::Unreachable);
        let wrong = rig(options);
        wrong.faulty.add(When::every(|_| true), unreachable());
        wrong.store.list(ObjectKind::Key).await.unwrap_err();
        assert_eq!(wrong.faulty.calls(), 6);
        let restarting = rig(options);
        restarting.store.list(ObjectKind::Key).await.unwrap();
        let back_at = Instant::now() + Duration::from_secs(60);
        restarting
            .faulty
            .add(When::every(move |_| Instant::now() < back_at), unreachable());
        restarting.store.list(ObjectKind::Key).await.unwrap();
    }

    #[test]
    fn waits_double_only_when_asked_and_not_for_ever() {
        let mut options = RetryOptions::default();
        assert_eq!(options.delay_before(5), Duration::from_secs(10));
        options.is_exponential = true;
        assert_eq!(options.delay_before(3), Duration::from_secs(40));
        assert_eq!(options.delay_before(1_000_000), DELAY_MAX);
    }
}
