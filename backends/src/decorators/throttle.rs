// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keeps the limits for stores that do not keep them themselves: whole objects wait their turn.

use std::sync::Arc;

use duplicati_engine::storage::{Store, StoreFuture};

use super::{
    decorate_store,
    operation::{Answer, Around, Operation},
};
use crate::transfer::Limits;

/// A store behind limits that may change at any time.
pub struct ThrottleStore {
    inner: Arc<dyn Store>,
    limits: Arc<Limits>,
}

impl ThrottleStore {
    /// Keeps `limits` for `inner`.
    pub fn new(inner: Arc<dyn Store>, limits: Arc<Limits>) -> Self {
        Self { inner, limits }
    }
}

impl Around for ThrottleStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            self.limits.upload.pass(operation.size_bytes).await;
            let answer = call.await?;
            self.limits.download.pass(answer.content_bytes()).await;
            Ok(answer)
        })
    }
}
decorate_store!(ThrottleStore);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use duplicati_engine::storage::{ObjectKind, ObjectName, memory::MemoryStore};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn uploads_and_downloads_keep_their_own_limits() {
        let limits = Limits::new(1_000, 500);
        let store = ThrottleStore::new(Arc::new(MemoryStore::new()), Arc::clone(&limits));
        let begin = Instant::now();
        for number in 0..5 {
            let name = ObjectName::of(ObjectKind::Pack, [number; 16]);
            store.put(&name, Bytes::from(vec![1; 1_000])).await.unwrap();
        }
        assert_eq!(begin.elapsed().as_secs(), 4);
        for number in 0..5 {
            let name = ObjectName::of(ObjectKind::Pack, [number; 16]);
            store.get(&name, None).await.unwrap();
        }
        assert_eq!(begin.elapsed().as_secs(), 4 + 8);
    }
}
