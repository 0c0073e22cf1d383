// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores around a store. Each adds one behaviour and passes everything else through unchanged, so that a decorator
//! without orders is as good as the store itself: the contract suite runs against each of them.
//!
//! A decorator implements [`operation::Around`] once, for all kinds of calls, and gets its `Store` from
//! `decorate_store!`.

pub mod faults;
pub mod operation;
pub mod recording;
pub mod slow;

pub use faults::{Fault, FaultyStore, When};
pub use operation::{Operation, OperationKind};
pub use recording::{Record, RecordingStore};
pub use slow::SlowStore;

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
                self.inner().remove_stale_temporaries(older_than)
            }

            fn list_foreign_root(&self) -> duplicati_engine::storage::StoreFuture<'_, Vec<String>> {
                let operation = $crate::decorators::Operation::list_foreign_root();
                self.around(operation, self.inner().list_foreign_root())
            }
        }
    };
}
pub(crate) use decorate_store;
