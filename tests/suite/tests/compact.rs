// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compaction: what goes, what stays, and who it waits for.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::sync::Arc;

use duplicati_engine::storage::{ObjectKind, ObjectName, Store, memory::MemoryStore};
use duplicati_testkit::{Fault, FaultyStore, OperationKind, When};
use maintenance::*;

fn bytes(store: &MemoryStore) -> u64 {
    store.inventory().iter().map(|info| info.size_bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_snapshots_give_their_room_back_and_the_others_restore_exactly() {
    for passphrase in [None, Some("secret")] {
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, passphrase).await;
        let ids = place.history(&repository, "a").await;
        let mut expected = contents(&repository).await;
        delete(&repository, &ids[..2]).await;
        expected.retain(|id, _| *id == ids[2]);
        let before = bytes(&store);
        let mut local = place.local(&repository, "a");
        let mut options = compact_options();
        options.dry_run = true;
        let dry = compact(&repository, Some(&mut local), options).await.unwrap();
        assert!(dry.plan.removed_bytes > 0 && bytes(&store) == before);
        let report = compact(&repository, Some(&mut local), compact_options())
            .await
            .unwrap();
        assert!(report.is_finished() && report.deleted_packs > 0, "{report:?}");
        assert!(report.spared_packs.is_empty() && report.damaged.is_empty());
        assert!(bytes(&store) + 150_000 < before, "{} of {before}", bytes(&store));
        assert_eq!(contents(&repository).await, expected);
        let report = verify_all(&repository, None).await;
        assert!(
            report.is_clean() && report.waste.is_empty(),
            "{:?}",
            report.findings
        );
        for kind in [ObjectKind::Session, ObjectKind::Plan] {
            assert_eq!(count(&store, kind), 0);
        }
        assert_eq!(count(&store, ObjectKind::Snapshot), 1);
        let again = compact(&repository, Some(&mut local), compact_options())
            .await
            .unwrap();
        assert!(again.plan.is_empty(), "{:?}", again.plan);
        place.write("later", &noise(99, 50_000));
        place.back_up(&repository, "a").await.unwrap();
        assert!(verify_all(&repository, None).await.is_clean());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_waits_for_a_young_session_of_another_machine_and_a_later_run_finishes() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    let ids = place.history(&repository, "a").await;
    delete(&repository, &ids[..2]).await;
    let expected = contents(&repository).await;
    let now = duplicati_engine::clock::text(duplicati_engine::clock::Clock::now(&*clock()));
    let session = put_new_session(&repository, &now).await;
    let packs = count(&store, ObjectKind::Pack);
    let mut local = place.local(&repository, "a");
    let first = compact(&repository, Some(&mut local), compact_options())
        .await
        .unwrap();
    assert_eq!(first.waiting_for.len(), 1);
    assert_eq!(first.waiting_for[0].id, session);
    assert!(count(&store, ObjectKind::Pack) >= packs && count(&store, ObjectKind::Plan) == 1);
    assert_eq!(contents(&repository).await, expected);
    store
        .delete(&ObjectName::of(ObjectKind::Session, session.0))
        .await
        .unwrap();
    let second = compact(&repository, Some(&mut local), compact_options())
        .await
        .unwrap();
    assert!(second.is_finished() && second.finished_plans == 1, "{second:?}");
    assert_eq!(count(&store, ObjectKind::Plan), 0);
    assert_eq!(contents(&repository).await, expected);
    assert!(verify_all(&repository, None).await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_session_is_fenced_and_cannot_commit_afterwards() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    let ids = place.history(&repository, "a").await;
    delete(&repository, &ids[..1]).await;
    let session = put_new_session(&repository, "2001-01-01T00:00:00Z").await;
    let report = compact(&repository, None, compact_options()).await.unwrap();
    assert!(report.is_finished() && report.fenced_sessions == 1);
    let late = repository
        .put_object(&session.into(), &repository.data, b"{}")
        .await;
    assert!(late.unwrap_err().to_string().contains("exists"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_two_days_is_alive_unless_a_shorter_age_is_chosen() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    let ids = place.history(&repository, "a").await;
    delete(&repository, &ids[..1]).await;
    let mut time = duplicati_engine::clock::Clock::now(&*clock());
    time.seconds -= 2 * 24 * 3600;
    let session = put_new_session(&repository, &duplicati_engine::clock::text(time)).await;
    let first = compact(&repository, None, compact_options()).await.unwrap();
    assert_eq!(first.waiting_for.len(), 1);
    assert_eq!(first.waiting_for[0].id, session);
    let mut options = compact_options();
    options.session_age_seconds_max = 24 * 3600;
    let second = compact(&repository, None, options).await.unwrap();
    assert!(second.is_finished() && second.fenced_sessions == 1, "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_when_needed_chunks_lose_their_place_under_way() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
    let ids = place.history(&repository, "a").await;
    delete(&repository, &ids[..2]).await;
    let expected = contents(&repository).await;
    // It waits between what it decides and what it deletes.
    let when = When::every(|operation| {
        operation.kind == OperationKind::Put
            && operation
                .name
                .as_ref()
                .is_some_and(|name| name.kind() == ObjectKind::Plan)
    });
    let faulty =
        Arc::new(FaultyStore::new(Arc::clone(&store) as Arc<dyn Store>).with(when.times(1), Fault::Hang));
    let collector = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("secret")).await;
    let running = tokio::spawn(async move { compact(&collector, None, compact_options()).await });
    faulty.wait_until_hanging(1).await;
    let packs = count(&store, ObjectKind::Pack);
    for info in store.inventory() {
        if info.name.kind() == ObjectKind::IndexSegment {
            store.delete(&info.name).await.unwrap();
        }
    }
    faulty.release();
    let refused = running.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("run `repair`"), "{refused}");
    assert_eq!(count(&store, ObjectKind::Pack), packs, "nothing is deleted");
    repair(&repository, None).await.unwrap();
    assert_eq!(contents(&repository).await, expected);
    assert!(
        compact(&repository, None, compact_options())
            .await
            .unwrap()
            .is_finished()
    );
    assert_eq!(contents(&repository).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_when_a_snapshot_cannot_be_read() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    let ids = place.history(&repository, "a").await;
    delete(&repository, &ids[..1]).await;
    let name = ObjectName::from(ids[1]);
    store.damage(&name, |content| {
        content.map(|content| content.slice(..content.len() / 2))
    });
    let packs = count(&store, ObjectKind::Pack);
    let error = compact(&repository, None, compact_options()).await.unwrap_err();
    assert!(error.to_string().contains(&ids[1].to_string()), "{error}");
    assert_eq!(count(&store, ObjectKind::Pack), packs);
}

/// The index may name either copy as the one that counts: names are random, so several repositories show both cases.
#[tokio::test(flavor = "multi_thread")]
async fn the_good_copy_of_what_went_bad_is_never_taken_for_the_spare_one() {
    for round in 0..8 {
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
        place.write("file", &noise(1, 40_000));
        place.back_up(&repository, "a").await.unwrap();
        let expected = contents(&repository).await;
        let mut packs = Vec::new();
        repository
            .load_index(None, |_, pack| {
                if pack.footer.class == duplicati_engine::format::pack::PackClass::Data {
                    packs.push(pack.id);
                }
            })
            .await
            .unwrap();
        assert_eq!(packs.len(), 1);
        store.damage(&packs[0].into(), |content| {
            let mut content = content.unwrap().to_vec();
            content[20_000] ^= 1;
            Some(content.into())
        });
        // The machine that found it out stores the content again; nobody repairs, and another machine collects.
        place
            .local(&repository, "a")
            .note_read_packs(&packs, &[])
            .unwrap();
        place.write("other", b"new");
        place.back_up(&repository, "a").await.unwrap();
        let report = compact(&repository, None, compact_options()).await.unwrap();
        assert!(report.is_finished(), "{report:?}");
        repair_everything(&repository).await.unwrap();
        let after = contents(&repository).await;
        for (id, files) in expected {
            assert_eq!(after[&id], files, "round {round}");
        }
    }
}
