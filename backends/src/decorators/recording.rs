// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes down every call, so that tests count operations and bytes instead of measuring time.

use std::sync::{Arc, Mutex, PoisonError};

use duplicati_engine::storage::{ObjectKind, Store, StoreErrorKind, StoreFuture};

use super::{
    decorate_store,
    operation::{Answer, Around, Operation, OperationKind},
};

/// One finished call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The call; its content is left out.
    pub operation: Operation,
    /// Bytes sent by a `put`, or received by a `get`.
    pub moved_bytes: u64,
    /// How it ended.
    pub outcome: Result<(), StoreErrorKind>,
}

/// A store that keeps a record of each call, in the order in which they ended.
pub struct RecordingStore {
    inner: Arc<dyn Store>,
    records: Mutex<Vec<Record>>,
}

impl RecordingStore {
    /// Records the calls to `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            records: Mutex::new(Vec::new()),
        }
    }

    /// All records so far.
    pub fn records(&self) -> Vec<Record> {
        self.lock().clone()
    }

    /// All records so far, which are then forgotten.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.lock())
    }

    /// How many calls of a method there were about one kind of object, failed ones included.
    pub fn count(&self, operation: OperationKind, kind: ObjectKind) -> usize {
        self.lock()
            .iter()
            .filter(|record| record.operation.kind == operation && record.operation.object_kind == Some(kind))
            .count()
    }

    /// Bytes that successful calls of a method moved.
    pub fn moved_bytes(&self, operation: OperationKind) -> u64 {
        self.lock()
            .iter()
            .filter(|record| record.operation.kind == operation && record.outcome.is_ok())
            .map(|record| record.moved_bytes)
            .sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Around for RecordingStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        mut operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        operation.content = None;
        Box::pin(async move {
            let result = call.await;
            let record = Record {
                moved_bytes: result.as_ref().map_or(0, Answer::content_bytes) + operation.size_bytes,
                outcome: result.as_ref().map(|_| ()).map_err(|error| error.kind),
                operation,
            };
            self.lock().push(record);
            result
        })
    }
}
decorate_store!(RecordingStore);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use duplicati_engine::storage::{ObjectName, memory::MemoryStore};

    use super::*;

    #[tokio::test]
    async fn calls_are_recorded_with_their_bytes_and_outcome() {
        let store = RecordingStore::new(Arc::new(MemoryStore::new()));
        let name = ObjectName::of(ObjectKind::Pack, [1; 16]);
        store.put(&name, Bytes::from_static(b"12345")).await.unwrap();
        store.get(&name, Some(1..3)).await.unwrap();
        store.get(&name, Some(1..9)).await.unwrap_err();
        store.list(ObjectKind::Key).await.unwrap();
        assert_eq!(store.count(OperationKind::Get, ObjectKind::Pack), 2);
        assert_eq!(store.count(OperationKind::List, ObjectKind::Key), 1);
        assert_eq!(store.moved_bytes(OperationKind::Put), 5);
        assert_eq!(store.moved_bytes(OperationKind::Get), 2);
        let records = store.take();
        assert_eq!(records.len(), 4);
        assert_eq!(records[2].outcome, Err(StoreErrorKind::Truncated));
        assert!(store.records().is_empty());
    }
}
