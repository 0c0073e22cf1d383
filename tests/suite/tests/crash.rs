// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A crash at every single storage operation, before and after the target did it: nothing that existed is lost, and the next run succeeds.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::{pin::Pin, sync::Arc};

use duplicati_actors::{
    control::RunControl,
    delete::{DeleteOptions, run_delete},
    error::RunError,
    events::Monitor,
};
use duplicati_engine::{
    id::SnapshotId,
    repository::Repository,
    storage::{ObjectKind, Store, memory::MemoryStore},
};
use duplicati_testkit::{Fault, FaultyStore, When};
use maintenance::*;

type Outcome = Pin<Box<dyn Future<Output = Result<(), RunError>>>>;

/// Runs `operation` once for each storage operation and kind of crash.
async fn crash_everywhere(
    place: &Arc<Workplace>,
    base: &MemoryStore,
    keeps: &[SnapshotId],
    operation: impl Fn(Arc<Workplace>, Arc<Repository>, String) -> Outcome,
) {
    let expected = {
        let repository = open(copy(base).await, None).await;
        let mut expected = contents(&repository).await;
        expected.retain(|id, _| keeps.contains(id));
        expected
    };
    let mut number = 0;
    loop {
        let mut finished = false;
        for fault in [Fault::CrashBefore, Fault::CrashAfterCommit] {
            let store = copy(base).await;
            let faulty = Arc::new(FaultyStore::new(Arc::clone(&store) as Arc<dyn Store>));
            let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, None).await;
            faulty.add(When::number(faulty.calls() + number), fault);
            let database = format!("crash-{number}-{fault:?}");
            let outcome = operation(Arc::clone(place), Arc::clone(&repository), database.clone()).await;
            let context = format!("operation {number}, {fault:?}: {outcome:?}");
            if !faulty.is_crashed() {
                outcome.unwrap();
                finished = true;
                break;
            }
            let repository = open(Arc::clone(&store) as Arc<dyn Store>, None).await;
            let after = contents(&repository).await;
            for (id, files) in &expected {
                assert_eq!(after.get(id), Some(files), "{context}");
            }
            let report = check(&repository).await;
            assert!(report.is_clean(), "{context}: {:?}", report.findings);
            operation(Arc::clone(place), Arc::clone(&repository), database.clone())
                .await
                .expect(&context);
            let after = contents(&repository).await;
            for (id, files) in &expected {
                assert_eq!(after.get(id), Some(files), "second run, {context}");
            }
            let mut local = place.local(&repository, &database);
            let report = compact(&repository, Some(&mut local), compact_options())
                .await
                .expect(&context);
            assert!(report.is_finished(), "{context}: {report:?}");
            let report = verify_all(&repository, None).await;
            assert!(report.is_clean(), "{context}: {:?}", report.findings);
            let left = store
                .inventory()
                .into_iter()
                .filter(|info| info.name.kind() == ObjectKind::Plan)
                .count();
            assert_eq!(left, 0, "{context}");
        }
        if finished {
            assert!(number > 3, "the operation did nothing");
            return;
        }
        number += 1;
    }
}

async fn base(place: &Workplace) -> (Arc<MemoryStore>, Vec<SnapshotId>) {
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    let ids = place.history(&repository, "base").await;
    (store, ids)
}

async fn delete(repository: &Arc<Repository>, ids: Vec<SnapshotId>) -> Result<(), RunError> {
    let options = DeleteOptions {
        snapshots: ids,
        dry_run: false,
    };
    run_delete(
        Arc::clone(repository),
        options,
        clock(),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
    .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_during_backup_loses_nothing() {
    let place = Arc::new(Workplace::new());
    let (store, ids) = base(&place).await;
    place.write("new", &noise(77, 100_000));
    crash_everywhere(&place, &store, &ids, |place, repository, database| {
        Box::pin(async move { place.back_up(&repository, &database).await.map(drop) })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_during_compaction_loses_nothing() {
    let place = Arc::new(Workplace::new());
    let (store, ids) = base(&place).await;
    let repository = open(Arc::clone(&store) as Arc<dyn Store>, None).await;
    delete(&repository, ids[..2].to_vec()).await.unwrap();
    crash_everywhere(&place, &store, &ids[2..], |place, repository, database| {
        Box::pin(async move {
            let mut local = place.local(&repository, &database);
            compact(&repository, Some(&mut local), compact_options())
                .await
                .map(drop)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_during_deletion_loses_nothing_else() {
    let place = Arc::new(Workplace::new());
    let (store, ids) = base(&place).await;
    crash_everywhere(&place, &store, &ids[2..], |place, repository, database| {
        let ids = ids[..2].to_vec();
        Box::pin(async move {
            delete(&repository, ids).await?;
            let mut local = place.local(&repository, &database);
            compact(&repository, Some(&mut local), compact_options())
                .await
                .map(drop)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_during_repair_makes_nothing_worse() {
    let place = Arc::new(Workplace::new());
    let (store, ids) = base(&place).await;
    let expected = contents(&open(Arc::clone(&store) as Arc<dyn Store>, None).await).await;
    // One segment is gone and one is damaged.
    let segments: Vec<_> = store
        .inventory()
        .into_iter()
        .filter(|info| info.name.kind() == ObjectKind::IndexSegment)
        .collect();
    store.damage(&segments[0].name, |_| None);
    store.damage(&segments[1].name, |content| {
        content.map(|content| content.slice(..20))
    });
    let mut number = 0;
    loop {
        let copied = copy(&store).await;
        let faulty = Arc::new(FaultyStore::new(Arc::clone(&copied) as Arc<dyn Store>));
        let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, None).await;
        faulty.add(When::number(faulty.calls() + number), Fault::CrashAfterCommit);
        let outcome = repair(&repository, None).await.map(drop);
        let repository = open(Arc::clone(&copied) as Arc<dyn Store>, None).await;
        let report = repair(&repository, None).await.unwrap();
        assert!(
            report.remaining.is_clean(),
            "operation {number}, {outcome:?}: {:?}",
            report.remaining.findings
        );
        assert_eq!(contents(&repository).await, expected, "operation {number}");
        if !faulty.is_crashed() {
            break;
        }
        number += 1;
    }
    assert!(number > 10 && ids.len() == 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_a_damaged_pack_is_replaced_costs_nothing_more() {
    let place = Arc::new(Workplace::new());
    let (store, _) = base(&place).await;
    let largest = store
        .inventory()
        .into_iter()
        .filter(|info| info.name.kind() == ObjectKind::Pack)
        .max_by_key(|info| info.size_bytes)
        .unwrap();
    store.damage(&largest.name, |content| {
        let mut content = content.unwrap().to_vec();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        Some(content.into())
    });
    let before = contents(&open(copy(&store).await, None).await).await;
    let lost = |contents: &std::collections::BTreeMap<SnapshotId, Contents>| {
        let files = contents.values().flatten();
        files.filter(|(_, content)| content.is_none()).count()
    };
    assert!(lost(&before) > 0);
    let mut number = 0;
    loop {
        let copied = copy(&store).await;
        let faulty = Arc::new(FaultyStore::new(Arc::clone(&copied) as Arc<dyn Store>));
        let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, None).await;
        faulty.add(When::number(faulty.calls() + number), Fault::CrashAfterCommit);
        let outcome = repair_everything(&repository).await.map(drop);
        let repository = open(Arc::clone(&copied) as Arc<dyn Store>, None).await;
        // Between the two every place counts, and one of them is right wherever one was before.
        let report = repair_everything(&repository).await.unwrap();
        assert_eq!(
            contents(&repository).await,
            before,
            "operation {number}, {outcome:?}"
        );
        assert!(!report.remaining.is_clean(), "operation {number}");
        let third = repair_everything(&repository).await.unwrap();
        assert!(
            third.damaged_packs.is_empty() && third.stored_packs.is_empty(),
            "operation {number}: a repair that is done is done"
        );
        if !faulty.is_crashed() {
            break;
        }
        number += 1;
    }
    assert!(number > 10);
}
