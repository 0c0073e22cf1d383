// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The contract suite against stores of this machine and the decorators.
//!
//! A new kind of store adds one test here, or in `contract_targets.rs` if it needs a server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use duplicati_backends::{
    LocalStore, StoreAddress,
    decorators::{
        ConcurrencyStore, MeteredStore, RetryOptions, RetryStore, ThrottleStore, TimeoutOptions, TimeoutStore,
    },
    transfer::Limits,
};
use duplicati_engine::storage::{Store, memory::MemoryStore};
use duplicati_testkit::{FaultyStore, RecordingStore, SlowStore};

mod contract_checks;
use contract_checks::{Target, keeps_all_promises};

const MANY_OBJECTS: u32 = 1_000;

fn in_memory(decorate: impl Fn(Arc<dyn Store>) -> Arc<dyn Store>) -> Target {
    let store = decorate(Arc::new(MemoryStore::new()));
    Target {
        again: store.clone(),
        store,
        folder: None,
        _guard: None,
        many_objects: MANY_OBJECTS,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_store_keeps_all_promises() {
    keeps_all_promises("memory", async || in_memory(|store| store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_store_keeps_all_promises() {
    keeps_all_promises("file", async || {
        let guard = tempfile::tempdir().unwrap();
        let folder = guard.path().join("target");
        let store = Arc::new(LocalStore::new(&folder));
        store.prepare(true).await.unwrap();
        Target {
            store,
            again: duplicati_backends::open(&StoreAddress::local(&folder)).unwrap(),
            folder: Some(folder),
            _guard: Some(guard),
            many_objects: MANY_OBJECTS,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_store_without_faults_keeps_all_promises() {
    keeps_all_promises("faulty", async || {
        in_memory(|store| Arc::new(FaultyStore::new(store)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_store_keeps_all_promises() {
    keeps_all_promises("recording", async || {
        in_memory(|store| Arc::new(RecordingStore::new(store)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_store_without_delay_keeps_all_promises() {
    let slow = |store| Arc::new(SlowStore::new(store, Duration::ZERO, None)) as Arc<dyn Store>;
    keeps_all_promises("slow", async || in_memory(slow)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decorators_of_programs_keep_all_promises() {
    let stack = |store: Arc<dyn Store>| -> Arc<dyn Store> {
        let store = Arc::new(TimeoutStore::new(store, TimeoutOptions::default()));
        let store = Arc::new(MeteredStore::new(store, "memory"));
        let store = Arc::new(ThrottleStore::new(store, Limits::new(0, 0)));
        let store = Arc::new(ConcurrencyStore::new(store));
        Arc::new(RetryStore::new(store, RetryOptions::default()))
    };
    keeps_all_promises("decorated", async || in_memory(stack)).await;
}
