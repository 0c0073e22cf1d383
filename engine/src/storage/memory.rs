// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A store in memory: the reference for the contract, and the ground for simulations.

use std::{collections::BTreeMap, ops::Range, sync::Mutex};

use bytes::Bytes;

use super::{
    Capability, Listing, ObjectInfo, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};

/// Objects in a map.
#[derive(Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes one object in place; for damage tests only, no store of the product can do this.
    pub fn damage(&self, name: &ObjectName, change: impl FnOnce(Option<&Bytes>) -> Option<Bytes>) {
        let mut objects = self.lock();
        match change(objects.get(name)) {
            Some(content) => objects.insert(*name, content),
            None => objects.remove(name),
        };
    }

    /// All names and sizes, for tests.
    pub fn inventory(&self) -> Vec<ObjectInfo> {
        self.lock()
            .iter()
            .map(|(name, content)| ObjectInfo {
                name: *name,
                size_bytes: content.len() as u64,
            })
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectName, Bytes>> {
        // A panic while holding the lock leaves the map whole: each change is one call.
        self.objects
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn capability(&self) -> Capability {
        Capability {
            put_if_absent: true,
            range_reads: true,
            concurrent_requests_max: 64,
        }
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if content.is_empty() {
                return Err(StoreError::new(
                    StoreErrorKind::Invalid,
                    "put",
                    name,
                    "memory",
                    "an object is never empty",
                ));
            }
            let mut objects = self.lock();
            if objects.contains_key(name) {
                let message = "the name exists already";
                return Err(StoreError::new(
                    StoreErrorKind::AlreadyExists,
                    "put",
                    name,
                    "memory",
                    message,
                ));
            }
            // A copy, so that the caller's buffer goes back to its pool, as with a real target.
            objects.insert(*name, Bytes::copy_from_slice(&content));
            Ok(())
        })
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(async move {
            let content = self.lock().get(name).cloned().ok_or_else(|| {
                StoreError::new(StoreErrorKind::NotFound, "get", name, "memory", "no such object")
            })?;
            let Some(range) = range else { return Ok(content) };
            if range.start > range.end || range.end > content.len() as u64 {
                let message = format!("{} bytes stored, {range:?} wanted", content.len());
                return Err(StoreError::new(
                    StoreErrorKind::Truncated,
                    "get",
                    name,
                    "memory",
                    message,
                ));
            }
            Ok(content.slice(range.start as usize..range.end as usize))
        })
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(async move {
            let objects = self
                .lock()
                .iter()
                .filter(|(name, _)| name.kind() == kind)
                .map(|(name, content)| ObjectInfo {
                    name: *name,
                    size_bytes: content.len() as u64,
                })
                .collect();
            Ok(Listing {
                objects,
                foreign: Vec::new(),
            })
        })
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.lock().remove(name);
            Ok(())
        })
    }

    fn prepare(&self, _create: bool) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
