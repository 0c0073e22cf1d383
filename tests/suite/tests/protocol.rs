// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Orders of events between machines that the model in `tests/model` found, played with the real code; `docs/protocol.md` has the rules.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::sync::Arc;

use duplicati_engine::{
    repository::Repository,
    storage::{ObjectKind, ObjectName, Store, StoreErrorKind, memory::MemoryStore},
};
use duplicati_testkit::{Fault, FaultyStore, Operation, OperationKind, When};
use maintenance::*;

fn is_about(kind: OperationKind, object: ObjectKind) -> impl Fn(&Operation) -> bool + Send + 'static {
    move |operation| operation.kind == kind && operation.object_kind == Some(object)
}

/// The same repository through a store of which one call hangs until it is released.
async fn held(store: &Arc<MemoryStore>, when: When) -> (Arc<FaultyStore>, Arc<Repository>) {
    let faulty =
        Arc::new(FaultyStore::new(Arc::clone(store) as Arc<dyn Store>).with(when.times(1), Fault::Hang));
    let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, None).await;
    (faulty, repository)
}

/// Another process. It keeps to one thread, because its local database does.
fn aside<F, W>(work: F) -> tokio::task::JoinHandle<W::Output>
where
    F: FnOnce() -> W + Send + 'static,
    W: Future,
    W::Output: Send + 'static,
{
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work()))
}

async fn assert_whole(repository: &Arc<Repository>, context: &str) {
    let report = verify_all(repository, None).await;
    assert!(report.is_clean(), "{context}: {:?}", report.findings);
    for (id, files) in contents(repository).await {
        assert!(files.values().all(Option::is_some), "{context}: {id} has holes");
    }
}

/// P-9. One collection sleeps before it deletes pack P, which nobody needs by then. A backup meets its plan, so it stores the same chunk again in pack Q. A
/// second collection begins before that backup commits, and condemns both. When it proves, the chunk is needed: Q must stay, because P is about to go.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_another_collection_is_about_to_delete_proves_nothing() {
    // The order of segments is random, so one round would pass by luck half of the time.
    for round in 0..6 {
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
        place.write("stays", &noise(1, 50_000));
        place.write("comes back", &noise(2, 50_000));
        let first = place.back_up(&repository, "a").await.unwrap().snapshot.unwrap();
        place.remove("comes back");
        place.back_up(&repository, "a").await.unwrap();
        delete(&repository, &[first]).await;

        let deleting = When::every(|operation| operation.kind == OperationKind::Delete);
        let (early_store, early) = held(&store, deleting).await;
        let early = aside(move || async move { compact(&early, None, compact_options()).await });
        early_store.wait_until_hanging(1).await;

        place.write("comes back", &noise(2, 50_000));
        let (writer_store, writer) = held(
            &store,
            When::every(is_about(OperationKind::Put, ObjectKind::Snapshot)),
        )
        .await;
        let place = Arc::new(place);
        let backup = aside({
            let place = Arc::clone(&place);
            move || async move { place.back_up(&writer, "b").await }
        });
        writer_store.wait_until_hanging(1).await;

        let (late_store, late) = held(
            &store,
            When::every(is_about(OperationKind::Put, ObjectKind::Plan)),
        )
        .await;
        let late = aside(move || async move { compact(&late, None, compact_options()).await });
        late_store.wait_until_hanging(1).await;

        writer_store.release();
        backup.await.unwrap().unwrap();
        late_store.release();
        late.await.unwrap().unwrap();
        early_store.release();
        early.await.unwrap().unwrap();
        assert_whole(&repository, &format!("round {round}")).await;
    }
}

/// P-11. A client that has not heard of its commit may repeat it after its snapshot was deleted and collected.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_repeated_after_its_snapshot_was_collected_is_refused() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    let ids = place.history(&repository, "a").await;
    let manifest = store.get(&ids[0].into(), None).await.unwrap();
    put_session(&repository, ids[0], "2001-01-01T00:00:00Z").await;
    // A collection with something to do, while the manifest stands.
    delete(&repository, &ids[1..2]).await;
    assert!(
        compact(&repository, None, compact_options())
            .await
            .unwrap()
            .is_finished()
    );
    delete(&repository, &ids[..1]).await;
    let report = compact(&repository, None, compact_options()).await.unwrap();
    assert!(report.is_finished() && report.deleted_packs > 0, "{report:?}");
    let repeated = store.put(&ids[0].into(), manifest).await;
    assert_eq!(repeated.unwrap_err().kind, StoreErrorKind::AlreadyExists);
    assert_whole(&repository, "after the repeated commit").await;
}

/// P-7. What ended a session is deleted between the look at sessions and the second marking.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_manifest_is_deleted_during_collection_is_waited_for() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    let ids = place.history(&repository, "a").await;
    delete(&repository, &ids[..1]).await;
    // The first list of snapshots counts, the second looks at what has ended, the third marks again.
    let third = When::every(is_about(OperationKind::List, ObjectKind::Snapshot)).after(2);
    let marking =
        Arc::new(FaultyStore::new(Arc::clone(&store) as Arc<dyn Store>).with(third.times(1), Fault::Hang));
    let planning = When::every(is_about(OperationKind::Put, ObjectKind::Plan)).times(1);
    let counted =
        Arc::new(FaultyStore::new(Arc::clone(&marking) as Arc<dyn Store>).with(planning, Fault::Hang));
    let collector = open(Arc::clone(&counted) as Arc<dyn Store>, None).await;
    let collecting = aside(move || async move { compact(&collector, None, compact_options()).await });
    counted.wait_until_hanging(1).await;
    // This snapshot comes after the collector counted, with a session whose owner has not heard of its commit.
    place.write("only-0", &noise(50, 40_000));
    let late = place.back_up(&repository, "b").await.unwrap().snapshot.unwrap();
    put_session(&repository, late, "2001-01-01T00:00:00Z").await;
    let manifest = store.get(&late.into(), None).await.unwrap();
    counted.release();
    marking.wait_until_hanging(1).await;
    delete(&repository, &[late]).await;
    marking.release();
    let report = collecting.await.unwrap().unwrap();
    assert_eq!(report.waiting_for.len(), 1, "{report:?}");
    assert_eq!(report.waiting_for[0].id, late);
    // The owner tries again, and finds everything.
    store.put(&late.into(), manifest).await.unwrap();
    assert_whole(&repository, "after the second try").await;
}

/// P-10. A commit of which nothing was heard may happen yet; as long as it may, collections must see the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_heard_nothing_of_its_commit_leaves_its_session() {
    for fault in [
        Fault::FailBefore(StoreErrorKind::Unavailable),
        Fault::FailAfterCommit(StoreErrorKind::Unavailable),
    ] {
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
        place.history(&repository, "a").await;
        place.write("new", &noise(9, 50_000));
        let manifest = When::every(is_about(OperationKind::Put, ObjectKind::Snapshot));
        let faulty = Arc::new(FaultyStore::new(Arc::clone(&store) as Arc<dyn Store>).with(manifest, fault));
        let failing = open(faulty as Arc<dyn Store>, None).await;
        let outcome = place.back_up(&failing, "a").await;
        if outcome.is_err() {
            assert_eq!(count(&store, ObjectKind::Session), 1, "{fault:?}");
        }
        // The next collection of this machine ends it, so that it cannot happen any more.
        let mut local = place.local(&repository, "a");
        compact(&repository, Some(&mut local), compact_options())
            .await
            .unwrap();
        assert_whole(&repository, &format!("{fault:?}")).await;
    }
}

/// S-1. A worker that fails ends its stream, and that must not look like the end of the work. One thread, so that the news of the failure comes late.
#[tokio::test]
async fn a_snapshot_is_never_committed_without_a_pack_that_failed() {
    for skipped in 0..12 {
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
        let ids = place.history(&repository, "a").await;
        for number in 0..4 {
            place.write(&format!("new-{number}"), &noise(10 + number, 70_000));
        }
        let pack = When::every(is_about(OperationKind::Put, ObjectKind::Pack)).after(skipped);
        let failure = Fault::FailBefore(StoreErrorKind::Unavailable);
        let faulty =
            Arc::new(FaultyStore::new(Arc::clone(&store) as Arc<dyn Store>).with(pack.times(1), failure));
        let failing = open(faulty as Arc<dyn Store>, None).await;
        let outcome = place.back_up(&failing, "a").await;
        let committed = count(&store, ObjectKind::Snapshot) - ids.len();
        assert_eq!(
            committed,
            usize::from(outcome.is_ok()),
            "pack {skipped}: {outcome:?}"
        );
        assert_whole(&repository, &format!("pack {skipped}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_a_newer_program_is_left_alone_whatever_its_shape() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
    place.history(&repository, "a").await;
    let name = ObjectName::of(ObjectKind::Plan, [5; 16]);
    repository
        .put_object(&name, &repository.index, br#"{"version": 2, "other": true}"#)
        .await
        .unwrap();
    repair_everything(&repository).await.unwrap();
    assert_eq!(count(&store, ObjectKind::Plan), 1, "not ours to judge");
    let refused = place.back_up(&repository, "a").await.unwrap_err();
    assert!(refused.to_string().contains("newer program"), "{refused}");
}
