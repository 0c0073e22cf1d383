// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores around a store. Each adds one behaviour and passes everything else through unchanged, so that a decorator
//! without orders is as good as the store itself: the contract suite runs against each of them.
//!
//! A decorator implements [`operation::Around`] once, for all kinds of calls, and gets its `Store` from
//! `decorate_store!`; [`retry`] alone makes a call more than once and implements `Store` itself.
//!
//! The order that programs use is that of [`stack`], from the caller to the target:
//!
//! 1. [`retry`]: waits outside of everything that counts or holds something.
//! 2. [`concurrency`]: a request that waits for its next try holds no place.
//! 3. [`throttle`]: waiting for our own limit is not the target's fault, so it is outside of the time-out.
//! 4. [`metered`]: sees each request as it was sent, also those that timed out.
//! 5. [`timeout`]: next to the store, so that each try has its own. A call to a local file system that is given up goes on in its
//!    thread; what it may still write is met by the next try like any lost answer.

use std::sync::Arc;

use duplicati_engine::storage::Store;

use crate::{address::StoreAddress, registry};

pub mod concurrency;
pub mod faults;
pub mod metered;
pub mod operation;
pub mod read_only;
pub mod recording;
pub mod retry;
pub mod slow;
pub mod throttle;
pub mod timed_files;
pub mod timeout;

pub use concurrency::ConcurrencyStore;
pub use faults::{Fault, FaultyStore, When};
pub use metered::MeteredStore;
pub use operation::{Operation, OperationKind};
pub use read_only::ReadOnlyStore;
pub use recording::{Record, RecordingStore};
pub use retry::{RetryOptions, RetryStore};
pub use slow::SlowStore;
pub use throttle::ThrottleStore;
pub use timed_files::TimedFiles;
pub use timeout::{TimeoutOptions, TimeoutStore};

/// The store of an address with everything that programs want around it.
pub fn stack(store: Arc<dyn Store>, address: &StoreAddress) -> Arc<dyn Store> {
    let mut store = store;
    store = Arc::new(TimeoutStore::new(store, time_limits(address)));
    store = Arc::new(MeteredStore::new(store, &address.scheme));
    if !registry::keeps_limits(&address.scheme) {
        store = Arc::new(ThrottleStore::new(store, Arc::clone(&address.limits)));
    }
    if address.scheme != "file" {
        store = Arc::new(ConcurrencyStore::new(store));
    }
    Arc::new(RetryStore::new(store, RetryOptions::of(&address.options)))
}

/// The store of an address as it is to be measured: with everything around it but the decorator that chooses how many requests run at once.
pub fn stack_to_measure(store: Arc<dyn Store>, address: &StoreAddress) -> Arc<dyn Store> {
    let mut store = store;
    store = Arc::new(TimeoutStore::new(store, time_limits(address)));
    if !registry::keeps_limits(&address.scheme) {
        store = Arc::new(ThrottleStore::new(store, Arc::clone(&address.limits)));
    }
    Arc::new(RetryStore::new(store, RetryOptions::of(&address.options)))
}

/// How long calls to the target of an address may stand still.
pub(crate) fn time_limits(address: &StoreAddress) -> TimeoutOptions {
    if address.scheme == "file" {
        TimeoutOptions::local(&address.options)
    } else {
        TimeoutOptions::of(&address.options)
    }
}

/// Implements `Store` for a decorator by its `Around`.
macro_rules! decorate_store {
    ($decorator:ident) => {
        impl duplicati_engine::storage::Store for $decorator {
            fn capability(&self) -> duplicati_engine::storage::Capability {
                self.inner().capability()
            }

            fn location(&self) -> String {
                self.inner().location()
            }

            fn put<'a>(
                &'a self,
                name: &'a duplicati_engine::storage::ObjectName,
                content: bytes::Bytes,
            ) -> duplicati_engine::storage::StoreFuture<'a, ()> {
                let operation = $crate::decorators::Operation::put(name, &content);
                self.around(operation, self.inner().put(name, content))
            }

            fn get<'a>(
                &'a self,
                name: &'a duplicati_engine::storage::ObjectName,
                range: Option<std::ops::Range<u64>>,
            ) -> duplicati_engine::storage::StoreFuture<'a, bytes::Bytes> {
                let operation = $crate::decorators::Operation::get(name, range.clone());
                self.around(operation, self.inner().get(name, range))
            }

            fn list(
                &self,
                kind: duplicati_engine::storage::ObjectKind,
            ) -> duplicati_engine::storage::StoreFuture<'_, duplicati_engine::storage::Listing> {
                let operation = $crate::decorators::Operation::list(kind);
                self.around(operation, self.inner().list(kind))
            }

            fn delete<'a>(
                &'a self,
                name: &'a duplicati_engine::storage::ObjectName,
            ) -> duplicati_engine::storage::StoreFuture<'a, ()> {
                let operation = $crate::decorators::Operation::delete(name);
                self.around(operation, self.inner().delete(name))
            }

            fn prepare(&self, create: bool) -> duplicati_engine::storage::StoreFuture<'_, ()> {
                let operation = $crate::decorators::Operation::prepare();
                self.around(operation, self.inner().prepare(create))
            }

            fn remove_stale_temporaries(
                &self,
                older_than: i64,
            ) -> duplicati_engine::storage::StoreFuture<'_, u64> {
                let operation = $crate::decorators::Operation::remove_stale_temporaries();
                self.around(operation, self.inner().remove_stale_temporaries(older_than))
            }

            fn list_foreign_root(&self) -> duplicati_engine::storage::StoreFuture<'_, Vec<String>> {
                let operation = $crate::decorators::Operation::list_foreign_root();
                self.around(operation, self.inner().list_foreign_root())
            }
        }
    };
}
pub(crate) use decorate_store;

#[cfg(test)]
mod tests {
    use duplicati_engine::storage::memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn the_wish_to_remove_stale_temporaries_passes_through_the_whole_stack() {
        for scheme in ["file", "ftp", "webdav"] {
            let recording = Arc::new(RecordingStore::new(Arc::new(MemoryStore::new())));
            let address = StoreAddress {
                scheme: scheme.to_owned(),
                ..StoreAddress::local("/x")
            };
            stack(recording.clone(), &address)
                .remove_stale_temporaries(5)
                .await
                .unwrap();
            let kinds: Vec<_> = recording
                .records()
                .iter()
                .map(|record| record.operation.kind)
                .collect();
            assert_eq!(kinds, [OperationKind::RemoveStaleTemporaries], "{scheme}");
        }
    }
}
