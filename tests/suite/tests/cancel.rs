// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A run that is cancelled while the target does not answer ends, wherever it waits, and the next one finds everything whole.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use duplicati_actors::{
    compact::{CompactOptions, run_compact},
    control::RunControl,
    error::RunError,
    events::Monitor,
    repair::{RepairOptions, run_repair},
    verify::{VerifyOptions, run_verify},
};
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreFuture, memory::MemoryStore,
};
use duplicati_testkit::{Fault, FaultyStore, OperationKind, When};
use maintenance::*;

/// Longer than any run here takes; a request that hangs never ends by itself.
const FOREVER: Duration = Duration::from_secs(60);

fn hanging(store: &Arc<MemoryStore>, operation: OperationKind, kind: ObjectKind) -> Arc<FaultyStore> {
    let when = When::every(move |met| met.kind == operation && met.object_kind == Some(kind));
    Arc::new(FaultyStore::new(Arc::clone(store) as Arc<dyn Store>).with(when, Fault::Hang))
}

/// Cancels what `begin` starts as soon as it waits for the target, and sees it end.
async fn cancel_where_it_hangs<T: Send + 'static>(
    faulty: &FaultyStore,
    what: &str,
    begin: impl FnOnce(RunControl) -> tokio::task::JoinHandle<Result<T, RunError>>,
) {
    let control = RunControl::new();
    let run = begin(control.clone());
    tokio::time::timeout(FOREVER, faulty.wait_until_hanging(1))
        .await
        .unwrap_or_else(|_| panic!("{what}: nothing waits for the target"));
    control.cancel();
    let outcome = tokio::time::timeout(FOREVER, run)
        .await
        .unwrap_or_else(|_| panic!("{what}: goes on waiting"));
    let Err(error) = outcome.unwrap() else {
        panic!("{what}: ended well although the target did not answer");
    };
    assert!(
        matches!(error, RunError::Cancelled | RunError::Interrupted),
        "{what}: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_can_be_cancelled_while_the_target_does_not_answer() {
    use ObjectKind::{IndexSegment, Pack, Session, Snapshot};
    use OperationKind::{Get, List, Put};
    for (operation, kind) in [
        (Put, Session),
        (List, Pack),
        (Get, Snapshot),
        (Get, Pack),
        (Put, Pack),
        (Put, IndexSegment),
        (Put, Snapshot),
    ] {
        let what = format!("{operation:?} {kind:?}");
        let place = Arc::new(Workplace::new());
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        let older = place.history(&repository, "a").await;
        place.write("new", &noise(200, 150_000));
        let before = contents(&repository).await;
        let faulty = hanging(&store, operation, kind);
        let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("secret")).await;
        cancel_where_it_hangs(&faulty, &what, |control| {
            let (place, repository) = (Arc::clone(&place), repository);
            tokio::spawn(async move { place.back_up_under(&repository, "a", control).await })
        })
        .await;
        let repository = open(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        assert_eq!(contents(&repository).await, before, "{what}");
        let report = place.back_up(&repository, "a").await.unwrap();
        assert!(!older.contains(&report.snapshot.unwrap()), "{what}");
        let check = verify_all(&repository, None).await;
        assert!(check.is_clean(), "{what}: {:?}", check.findings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_can_be_cancelled_while_the_target_does_not_answer() {
    use ObjectKind::{IndexSegment, Pack, Snapshot};
    use OperationKind::{Get, List, Put};
    for (operation, kind) in [
        (List, Pack),
        (Get, Snapshot),
        (Get, Pack),
        (Put, Pack),
        (Put, IndexSegment),
    ] {
        let what = format!("{operation:?} {kind:?}");
        let place = Arc::new(Workplace::new());
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        let ids = place.history(&repository, "a").await;
        delete(&repository, &ids[..2]).await;
        let before = contents(&repository).await;
        let faulty = hanging(&store, operation, kind);
        let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("secret")).await;
        cancel_where_it_hangs(&faulty, &what, |control| {
            tokio::spawn(async move {
                run_compact(
                    repository,
                    None,
                    compact_options(),
                    clock(),
                    Monitor::silent(),
                    control,
                )
                .await
            })
        })
        .await;
        let repository = open(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        assert_eq!(contents(&repository).await, before, "{what}");
        compact(&repository, None, compact_options()).await.unwrap();
        let check = verify_all(&repository, None).await;
        assert!(check.is_clean(), "{what}: {:?}", check.findings);
        assert_eq!(contents(&repository).await, before, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_everything_can_be_cancelled_while_the_target_does_not_answer() {
    use ObjectKind::{IndexSegment, Pack, Snapshot};
    use OperationKind::{Get, List};
    for (operation, kind) in [(List, Pack), (Get, Snapshot), (Get, Pack), (Get, IndexSegment)] {
        let what = format!("{operation:?} {kind:?}");
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        place.history(&repository, "a").await;
        let faulty = hanging(&store, operation, kind);
        let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("secret")).await;
        cancel_where_it_hangs(&faulty, &what, |control| {
            let options = VerifyOptions::default();
            tokio::spawn(run_verify(
                repository,
                None,
                options,
                clock(),
                Monitor::silent(),
                control,
            ))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_can_be_cancelled_while_the_target_does_not_answer() {
    use ObjectKind::{IndexSegment, Pack, Session};
    use OperationKind::{Get, List, Put};
    for (operation, kind) in [(Put, Session), (List, Pack), (Get, Pack), (Put, IndexSegment)] {
        let what = format!("{operation:?} {kind:?}");
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        place.history(&repository, "a").await;
        // Without its segments every pack has to be described anew.
        for info in store.inventory() {
            if info.name.kind() == IndexSegment {
                store.delete(&info.name).await.unwrap();
            }
        }
        let faulty = hanging(&store, operation, kind);
        let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("secret")).await;
        cancel_where_it_hangs(&faulty, &what, |control| {
            let options = RepairOptions::default();
            tokio::spawn(run_repair(
                repository,
                None,
                options,
                clock(),
                Monitor::silent(),
                control,
            ))
        })
        .await;
        let repository = open(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        repair_everything(&repository).await.unwrap();
        let check = verify_all(&repository, None).await;
        assert!(check.is_clean(), "{what}: {:?}", check.findings);
        assert_eq!(contents(&repository).await.len(), 3, "{what}");
    }
}

/// A target on which nobody can claim a name before others.
struct WithoutClaims(Arc<FaultyStore>);

impl Store for WithoutClaims {
    fn capability(&self) -> Capability {
        Capability {
            put_if_absent: false,
            ..self.0.capability()
        }
    }

    fn location(&self) -> String {
        self.0.location()
    }

    fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
        self.0.prepare(create)
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        self.0.put(name, content)
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        self.0.get(name, range)
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        self.0.list(kind)
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        self.0.list_foreign_root()
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        self.0.delete(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancelled_compaction_leaves_is_a_session_that_others_can_end_and_nothing_else() {
    for claims in [true, false] {
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        let ids = place.history(&repository, "a").await;
        delete(&repository, &ids[..2]).await;
        let sessions = || {
            let objects = store.inventory();
            objects
                .iter()
                .filter(|info| info.name.kind() == ObjectKind::Session)
                .count()
        };
        let before = sessions();
        let faulty = hanging(&store, OperationKind::Put, ObjectKind::IndexSegment);
        let target: Arc<dyn Store> = if claims {
            Arc::clone(&faulty) as Arc<dyn Store>
        } else {
            Arc::new(WithoutClaims(Arc::clone(&faulty)))
        };
        let repository = open(target, Some("secret")).await;
        let options = CompactOptions {
            exclusive: true,
            ..compact_options()
        };
        cancel_where_it_hangs(&faulty, "compact", |control| {
            tokio::spawn(async move {
                run_compact(repository, None, options, clock(), Monitor::silent(), control).await
            })
        })
        .await;
        assert_eq!(sessions(), before + usize::from(claims), "claims: {claims}");
    }
}
