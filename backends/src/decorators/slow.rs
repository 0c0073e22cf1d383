// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A store behind a slow line: each request waits, and all requests share one rate.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use duplicati_engine::storage::{Store, StoreFuture};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    decorate_store,
    operation::{Answer, Around, Operation},
};

/// A store with latency and a rate. Time is tokio's, so a paused runtime runs it at once.
pub struct SlowStore {
    inner: Arc<dyn Store>,
    latency: Duration,
    bytes_per_second: Option<NonZeroU64>,
    /// When the line will have carried all that was put on it.
    line_free_at: Mutex<Option<Instant>>,
}

impl SlowStore {
    /// Each request waits `latency`; content then passes at `bytes_per_second`, shared by all (none: without limit).
    pub fn new(inner: Arc<dyn Store>, latency: Duration, bytes_per_second: Option<NonZeroU64>) -> Self {
        Self {
            inner,
            latency,
            bytes_per_second,
            line_free_at: Mutex::new(None),
        }
    }

    async fn carry(&self, size_bytes: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        if size_bytes == 0 {
            return;
        }
        let duration = Duration::from_secs_f64(size_bytes as f64 / rate.get() as f64);
        let free_at = {
            let mut line = self.line_free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let free_at = line.map_or(now, |free_at| free_at.max(now)) + duration;
            *line = Some(free_at);
            free_at
        };
        sleep_until(free_at).await;
    }
}

impl Around for SlowStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            if !self.latency.is_zero() {
                sleep(self.latency).await;
            }
            self.carry(operation.size_bytes).await;
            let answer = call.await?;
            self.carry(answer.content_bytes()).await;
            Ok(answer)
        })
    }
}
decorate_store!(SlowStore);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use duplicati_engine::{
        clock::{Clock, SystemClock},
        storage::{ObjectKind, ObjectName, memory::MemoryStore},
    };

    use super::*;

    #[tokio::test]
    async fn concurrent_requests_share_the_rate() {
        let store = SlowStore::new(
            Arc::new(MemoryStore::new()),
            Duration::ZERO,
            NonZeroU64::new(100_000),
        );
        let [first, second] = [1, 2].map(|id| ObjectName::of(ObjectKind::Pack, [id; 16]));
        let content = Bytes::from(vec![1; 2_000]);
        let start = SystemClock.monotonic();
        let (first, second) = tokio::join!(store.put(&first, content.clone()), store.put(&second, content));
        first.unwrap();
        second.unwrap();
        assert!(SystemClock.monotonic() - start >= Duration::from_millis(40));
    }
}
