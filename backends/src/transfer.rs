// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stores and their decorators share about bytes on the way: limits that may change while a transfer runs, and a sign
//! of life of the transfer that a task is waiting for.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Bytes that pass at once under a limit: small enough that a change of the limit is felt soon and traffic is smooth.
pub const PACED_PIECE_BYTES: usize = 16 << 10;
/// Bytes that pass at once without a limit: small enough to be a sign of life on a slow line.
pub const FREE_PIECE_BYTES: usize = 64 << 10;

/// Bytes per second in one direction, shared by everything that goes that way.
#[derive(Debug, Default)]
pub struct RateLimit {
    /// 0 is no limit.
    bytes_per_second: AtomicU64,
    /// When the line will have carried all that was put on it.
    line_free_at: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// A limit; 0 is none.
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: AtomicU64::new(bytes_per_second),
            line_free_at: Mutex::new(None),
        }
    }

    /// Changes the limit, also for transfers that run.
    pub fn set(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
        // What was promised to the old rate would hold up the new one.
        *self.line_free_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The limit; 0 is none.
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// How much should pass at once.
    pub fn piece_bytes(&self) -> usize {
        if self.bytes_per_second() == 0 {
            FREE_PIECE_BYTES
        } else {
            PACED_PIECE_BYTES
        }
    }

    /// Waits until `bytes` may pass. The first bytes after a pause pass at once. Whoever watches over the present task sees
    /// that it is our own limit that is waited for.
    pub async fn pass(&self, bytes: u64) {
        self.pass_seen_by(bytes, Progress::current()).await;
    }

    /// The same in a task of others, for a transfer that is watched by `progress`.
    pub async fn pass_seen_by(&self, bytes: u64, progress: Option<Arc<Progress>>) {
        let rate = self.bytes_per_second();
        if rate == 0 || bytes == 0 {
            return;
        }
        let duration = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let start = {
            let mut line = self.line_free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = line.map_or(now, |free_at| free_at.max(now));
            *line = Some(start + duration);
            start
        };
        let _waiting = progress.map(Waiting::begin);
        sleep_until(start).await;
    }
}

/// The limits of both directions.
#[derive(Debug, Default)]
pub struct Limits {
    /// Towards the target.
    pub upload: RateLimit,
    /// From the target.
    pub download: RateLimit,
}

impl Limits {
    /// Limits in bytes per second; 0 is none.
    pub fn new(upload: u64, download: u64) -> Arc<Self> {
        Arc::new(Self {
            upload: RateLimit::new(upload),
            download: RateLimit::new(download),
        })
    }
}

/// Counts pieces that moved, so that a transfer that stands still can be told from a slow one.
#[derive(Debug, Default)]
pub struct Progress {
    pieces: AtomicU64,
    /// Waits of our own making that go on now.
    waits: AtomicU64,
}

/// A wait that is not the target's fault; it lasts until this is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Progress>);

impl Waiting {
    /// Begins a wait.
    pub fn begin(progress: Arc<Progress>) -> Self {
        progress.waits.fetch_add(1, Ordering::Relaxed);
        Self(progress)
    }

    /// Begins a wait of the present task, where that is watched.
    pub fn of_this_task() -> Option<Self> {
        Progress::current().map(Self::begin)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::Relaxed);
        // The target gets its whole time from here.
        self.0.step();
    }
}

tokio::task_local! {
    static CURRENT: Arc<Progress>;
}

impl Progress {
    /// One more piece moved.
    pub fn step(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Whether a wait of our own making goes on.
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Relaxed) > 0
    }

    /// The one that the present task is watched by, to be handed to whatever moves the bytes.
    pub fn current() -> Option<Arc<Progress>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs a call that is watched by this.
    pub async fn watch<T>(self: Arc<Self>, call: impl Future<Output = T>) -> T {
        CURRENT.scope(self, call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_kept_on_average_and_may_be_lifted_while_waiting() {
        let limit = RateLimit::new(1_000);
        let begin = Instant::now();
        for _ in 0..11 {
            limit.pass(1_000).await;
        }
        assert_eq!(begin.elapsed().as_secs(), 10);
        limit.set(0);
        limit.pass(1 << 40).await;
        assert_eq!(begin.elapsed().as_secs(), 10);
        limit.set(2_000);
        limit.pass(2_000).await;
        limit.pass(1).await;
        assert_eq!(begin.elapsed().as_secs(), 11);
    }

    #[tokio::test]
    async fn a_watched_call_finds_its_progress_and_others_find_none() {
        assert!(Progress::current().is_none());
        let progress = Arc::new(Progress::default());
        Arc::clone(&progress)
            .watch(async {
                Progress::current().unwrap().step();
            })
            .await;
        assert_eq!(progress.pieces(), 1);
    }
}
