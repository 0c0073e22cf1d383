// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A disk with bad places: they cost what lies there and nothing else.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::sync::Arc;

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    events::Monitor,
};
use duplicati_engine::{
    repository::Repository,
    storage::{ObjectKind, Store, StoreErrorKind, memory::MemoryStore},
};
use duplicati_testkit::{Fault, FaultyStore, OperationKind, When};
use maintenance::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_place_on_the_disk_costs_the_pack_that_lies_there_and_not_the_run() {
    one_pack_gives_up(StoreErrorKind::Unreadable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_of_which_the_target_gives_less_than_it_lists_costs_itself_and_not_the_run() {
    one_pack_gives_up(StoreErrorKind::Truncated).await;
}

async fn one_pack_gives_up(kind: StoreErrorKind) {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
    place.history(&repository, "a").await;
    let mut packs: Vec<_> = store
        .inventory()
        .into_iter()
        .filter(|info| info.name.kind() == ObjectKind::Pack)
        .collect();
    packs.sort_by_key(|info| info.size_bytes);
    // The largest holds file content.
    let bad = packs.pop().unwrap().name;
    let when =
        When::every(move |operation| operation.kind == OperationKind::Get && operation.name == Some(bad));
    let faulty = FaultyStore::new(Arc::clone(&store) as Arc<dyn Store>).with(when, Fault::FailBefore(kind));
    let faulty = open(Arc::new(faulty), Some("secret")).await;
    let report = verify_all(&faulty, None).await;
    assert!(!report.is_clean());
    let named = format!("{:?}", report.findings);
    assert!(
        named.contains(&bad.to_string()) || named.contains(&bad.to_string()[9..]),
        "{named}"
    );
    repair_everything(&faulty).await.unwrap();
    place.back_up(&faulty, "a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_saves_what_lies_around_a_bad_place_on_the_disk() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
    let content = |file: u8| noise(file, 120_000);
    for file in 0..8 {
        place.write(&format!("sub/{file}"), &content(file));
    }
    // One pack with all of it.
    let back_up = |repository: Arc<Repository>| {
        let options = BackupOptions {
            sources: vec![
                place
                    .folder
                    .path()
                    .join("source")
                    .into_os_string()
                    .into_encoded_bytes(),
            ],
            workers: 1,
            ..BackupOptions::default()
        };
        let local = place.local(&repository, "a");
        run_backup(
            repository,
            local,
            options,
            clock(),
            Monitor::silent(),
            RunControl::new(),
        )
    };
    back_up(Arc::clone(&repository)).await.unwrap();
    let bad = store
        .inventory()
        .into_iter()
        .filter(|info| info.name.kind() == ObjectKind::Pack)
        .max_by_key(|info| info.size_bytes)
        .unwrap();
    assert!(bad.size_bytes > 900_000, "{bad:?}");
    let (name, sector) = (bad.name, bad.size_bytes / 2);
    let when = When::every(move |operation| {
        operation.kind == OperationKind::Get
            && operation.name == Some(name)
            && operation
                .range
                .as_ref()
                .is_none_or(|range| range.contains(&sector))
    });
    let faulty = FaultyStore::new(Arc::clone(&store) as Arc<dyn Store>)
        .with(when, Fault::FailBefore(StoreErrorKind::Unreadable));
    let faulty = open(Arc::new(faulty), Some("secret")).await;
    let report = repair_everything(&faulty).await.unwrap();
    assert!(report.salvaged_chunks > 0, "{:?}", report.damaged_packs);
    // The sources still have the rest.
    back_up(Arc::clone(&faulty)).await.unwrap();
    let restored = contents(&faulty).await;
    for files in restored.values() {
        for file in 0..8 {
            let name = format!("source/sub/{file}");
            let (_, found) = files
                .iter()
                .find(|(path, _)| path.ends_with(name.as_bytes()))
                .unwrap();
            assert!(found.as_deref() == Some(&content(file)[..]), "{name}");
        }
    }
}
