// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Refuses every change. For commands that only read, so that a mistake in one of them cannot do harm.

use std::sync::Arc;

use duplicati_engine::storage::{Store, StoreErrorKind, StoreFuture};

use super::{
    decorate_store,
    operation::{Answer, Around, Operation, OperationKind},
};

/// A store that only answers.
pub struct ReadOnlyStore {
    inner: Arc<dyn Store>,
}

impl ReadOnlyStore {
    /// Lets nothing be changed in `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

impl Around for ReadOnlyStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        match operation.kind {
            OperationKind::Put
            | OperationKind::Delete
            | OperationKind::Prepare
            | OperationKind::RemoveStaleTemporaries => Box::pin(async move {
                Err(operation.error(
                    StoreErrorKind::PermissionDenied,
                    self.inner.location(),
                    "the target was opened for reading only",
                ))
            }),
            OperationKind::Get | OperationKind::List | OperationKind::ListForeignRoot => call,
        }
    }
}
decorate_store!(ReadOnlyStore);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use duplicati_engine::storage::{ObjectKind, ObjectName, memory::MemoryStore};

    use super::*;

    #[tokio::test]
    async fn reading_passes_and_changing_does_not() {
        let memory = Arc::new(MemoryStore::new());
        let name = ObjectName::of(ObjectKind::Pack, [1; 16]);
        memory.put(&name, Bytes::from_static(b"x")).await.unwrap();
        let store = ReadOnlyStore::new(memory.clone());
        assert_eq!(store.get(&name, None).await.unwrap(), "x");
        let other = ObjectName::of(ObjectKind::Pack, [2; 16]);
        let error = store.put(&other, Bytes::from_static(b"y")).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::PermissionDenied);
        assert!(store.delete(&name).await.is_err());
        assert_eq!(memory.inventory().len(), 1);
    }
}
