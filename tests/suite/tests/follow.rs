// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A second target that follows the first: it is a whole repository at every moment, damage does not spread to it, and it loses nothing that the first
//! has lost.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod damage_support;

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use bytes::Bytes;
use damage_support::{Damage, PASSPHRASE, Place, View, harm, noise};
use duplicati_actors::{
    control::RunControl,
    error::RunError,
    events::Monitor,
    follow::{FollowOptions, FollowReport, Leader, Recheck, run_follow},
};
use duplicati_backends::decorators::{Fault, FaultyStore, OperationKind, When};
use duplicati_engine::{
    clock::SystemClock,
    crypto::key_file::Unlock,
    repository::Repository,
    storage::{
        Capability, Listing, ObjectKind, ObjectName, Store, StoreErrorKind, StoreFuture, memory::MemoryStore,
    },
};

const FOLLOW: FollowOptions = FollowOptions {
    dry_run: false,
    remove: false,
    recheck: Recheck::Names,
    read_back: false,
};
const FOLLOW_AND_REMOVE: FollowOptions = FollowOptions {
    remove: true,
    ..FOLLOW
};

async fn place() -> Place {
    let place = Place::new().await;
    place.write("kept", &noise(1, 90_000));
    place.write("changing", &noise(2, 80_000));
    place.view().back_up("local").await.unwrap();
    place.write("changing", &noise(3, 80_000));
    place.view().back_up("local").await.unwrap();
    place
}

async fn follow(
    from: &View<'_>,
    to: Arc<dyn Store>,
    options: FollowOptions,
) -> Result<FollowReport, RunError> {
    let leader = Leader {
        repository: from.open().await?,
        unlock: Some(Arc::new(Unlock::Passphrase(PASSPHRASE.to_owned().into()))),
    };
    run_follow(
        leader,
        to,
        None,
        options,
        Arc::new(SystemClock),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
}

/// Names and contents of what belongs into a copy.
async fn contents(store: &MemoryStore) -> Vec<(ObjectName, Vec<u8>)> {
    let mut all = Vec::new();
    for info in store.inventory() {
        if !matches!(info.name.kind(), ObjectKind::Session | ObjectKind::Plan) {
            all.push((info.name, store.get(&info.name, None).await.unwrap().to_vec()));
        }
    }
    all
}

fn of_kind(store: &MemoryStore, kind: ObjectKind) -> Vec<ObjectName> {
    let all = store.inventory();
    all.iter()
        .map(|info| info.name)
        .filter(|name| name.kind() == kind)
        .collect()
}

#[tokio::test]
async fn a_copy_holds_the_same_objects_and_a_second_run_moves_nothing() {
    let place = place().await;
    let second = Arc::new(MemoryStore::new());
    let report = follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    assert!(report.failures.is_empty(), "{report:?}");
    assert_eq!(contents(&second).await, contents(&place.store).await);
    let again = follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    assert!(again.copied.is_empty() && again.replaced.is_empty(), "{again:?}");
    assert_eq!(again.same as usize, second.inventory().len());
    let copy = place.with_store(second);
    assert!(copy.verify("copy").await.is_clean());
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_names_what_it_would_copy() {
    let place = place().await;
    let second = Arc::new(MemoryStore::new());
    let options = FollowOptions {
        dry_run: true,
        ..FOLLOW
    };
    let report = follow(&place.view(), second.clone(), options).await.unwrap();
    let named: BTreeSet<String> = report.copied.into_iter().collect();
    let expected: BTreeSet<String> = contents(&place.store)
        .await
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(named, expected);
    assert!(second.inventory().is_empty());
}

#[tokio::test]
async fn cut_off_after_any_write_the_copy_is_no_repository_or_a_whole_one_and_the_next_run_goes_on() {
    let place = place().await;
    let count = contents(&place.store).await.len() as u64;
    for cut in 0..count {
        let second = Arc::new(MemoryStore::new());
        let faulty = FaultyStore::new(Arc::clone(&second) as Arc<dyn Store>).with(
            When::every(|operation| operation.kind == OperationKind::Put).after(cut),
            Fault::CrashBefore,
        );
        let error = follow(&place.view(), Arc::new(faulty), FOLLOW).await.unwrap_err();
        assert!(
            error.to_string().contains('/') || error.to_string().contains("repository.json"),
            "{error}"
        );
        let copy = place.with_store(Arc::clone(&second));
        if Repository::exists(second.as_ref()).await.unwrap() {
            assert!(copy.verify("copy").await.is_clean(), "cut after {cut} writes");
        } else {
            assert!(of_kind(&second, ObjectKind::Snapshot).is_empty());
        }
        let before = second.inventory().len();
        let report = follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
        assert_eq!(report.same as usize, before, "what is there is not copied again");
        assert_eq!(contents(&second).await, contents(&place.store).await);
    }
}

#[tokio::test]
async fn damage_at_the_first_does_not_spread_and_costs_the_second_nothing() {
    let place = place().await;
    let second = Arc::new(MemoryStore::new());
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let whole = contents(&second).await;
    for kind in [ObjectKind::Pack, ObjectKind::IndexSegment, ObjectKind::Snapshot] {
        for damage in [Damage::Truncated, Damage::BitFlipped, Damage::Missing] {
            let harmed = damage_support::copy(&place.store).await;
            let name = of_kind(&harmed, kind)[0];
            harm(&harmed, &name, damage);
            for recheck in [Recheck::Names, Recheck::Open, Recheck::Compare] {
                let options = FollowOptions {
                    recheck,
                    ..FOLLOW_AND_REMOVE
                };
                let view = place.with_store(Arc::clone(&harmed));
                let report = follow(&view, second.clone(), options).await.unwrap();
                // A manifest that is missing looks like a version that was deleted; everything else stays.
                if (kind, damage) == (ObjectKind::Snapshot, Damage::Missing) {
                    second.damage(&name, |_| {
                        whole
                            .iter()
                            .find(|(known, _)| *known == name)
                            .map(|(_, content)| content.clone().into())
                    });
                }
                assert_eq!(
                    contents(&second).await,
                    whole,
                    "{kind:?} {damage:?} {recheck:?}: {report:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_damaged_object_is_not_copied_and_named() {
    let place = place().await;
    let name = of_kind(&place.store, ObjectKind::Pack)[0];
    harm(&place.store, &name, Damage::BitFlipped);
    let second = Arc::new(MemoryStore::new());
    let report = follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let named: Vec<&str> = report
        .failures
        .iter()
        .map(|failure| failure.object.as_str())
        .collect();
    assert_eq!(named, [name.to_string()]);
    assert!(!of_kind(&second, ObjectKind::Pack).contains(&name));
}

#[tokio::test]
async fn a_damaged_copy_is_found_and_made_whole_when_asked_to() {
    let place = place().await;
    let second = Arc::new(MemoryStore::new());
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let whole = contents(&second).await;
    for recheck in [Recheck::Open, Recheck::Compare] {
        for (name, _) in &whole {
            if *name == ObjectName::CONFIG {
                continue;
            }
            harm(&second, name, Damage::BitFlipped);
            let options = FollowOptions { recheck, ..FOLLOW };
            let report = follow(&place.view(), second.clone(), options).await.unwrap();
            assert_eq!(report.replaced, [name.to_string()], "{report:?}");
            assert_eq!(contents(&second).await, whole);
        }
    }
    // Another size shows without reading.
    harm(&second, &whole[1].0, Damage::Truncated);
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    assert_eq!(contents(&second).await, whole);
}

#[tokio::test]
async fn what_the_first_lets_go_goes_at_the_second_on_request_only_and_versions_go_first() {
    let place = place().await;
    let second = Arc::new(MemoryStore::new());
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let oldest = place
        .view()
        .open()
        .await
        .unwrap()
        .list_snapshots()
        .await
        .unwrap()
        .snapshots[0]
        .0;
    place.store.delete(&oldest.into()).await.unwrap();
    place.view().compact("local").await.unwrap();
    let report = follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    assert!(report.removed.is_empty() && report.extra > 0, "{report:?}");
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&second) as Arc<dyn Store>).with(
        When::every(|operation| operation.kind == OperationKind::Delete).after(1),
        Fault::CrashBefore,
    ));
    follow(&place.view(), faulty, FOLLOW_AND_REMOVE)
        .await
        .unwrap_err();
    assert!(
        place
            .with_store(Arc::clone(&second))
            .verify("copy")
            .await
            .is_clean()
    );
    let report = follow(&place.view(), second.clone(), FOLLOW_AND_REMOVE)
        .await
        .unwrap();
    assert!(report.kept_because.is_empty(), "{report:?}");
    assert_eq!(contents(&second).await, contents(&place.store).await);
    assert!(place.with_store(second).verify("copy").await.is_clean());
}

#[tokio::test]
async fn a_version_that_only_the_second_has_stays_when_it_is_newer_than_all_of_the_first() {
    let place = place().await;
    let old = damage_support::copy(&place.store).await;
    place.write("later", &noise(9, 50_000));
    place.view().back_up("local").await.unwrap();
    let second = Arc::new(MemoryStore::new());
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let whole = contents(&second).await;
    let report = follow(&place.with_store(old), second.clone(), FOLLOW_AND_REMOVE)
        .await
        .unwrap();
    assert!(
        report.removed.is_empty() && !report.kept_because.is_empty(),
        "{report:?}"
    );
    assert_eq!(contents(&second).await, whole);
}

#[tokio::test]
async fn another_repository_and_its_remains_are_refused_and_left_alone() {
    let (place, other) = (place().await, place().await);
    let before = contents(&other.store).await;
    let error = follow(&place.view(), other.store.clone(), FOLLOW_AND_REMOVE)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another folder"), "{error}");
    assert_eq!(contents(&other.store).await, before);
    other.store.delete(&ObjectName::CONFIG).await.unwrap();
    let before = contents(&other.store).await;
    let error = follow(&place.view(), other.store.clone(), FOLLOW_AND_REMOVE)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("empty folder"), "{error}");
    assert_eq!(contents(&other.store).await, before);
}

#[tokio::test]
async fn a_copy_on_a_bad_sector_is_made_again() {
    let place = place().await;
    let second = Arc::new(MemoryStore::new());
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let whole = contents(&second).await;
    let pack = of_kind(&second, ObjectKind::Pack)[0];
    for recheck in [Recheck::Open, Recheck::Compare] {
        for kind in [StoreErrorKind::Unreadable, StoreErrorKind::Truncated] {
            let faulty = FaultyStore::new(Arc::clone(&second) as Arc<dyn Store>).with(
                When::every(move |operation| {
                    operation.kind == OperationKind::Get && operation.name == Some(pack)
                })
                .times(1),
                Fault::FailBefore(kind),
            );
            let options = FollowOptions { recheck, ..FOLLOW };
            let report = follow(&place.view(), Arc::new(faulty), options).await.unwrap();
            assert_eq!(report.replaced, [pack.to_string()], "{report:?}");
            assert_eq!(contents(&second).await, whole);
        }
    }
}

/// Loses a bit of one object on its way.
struct ForgetfulStore {
    inner: Arc<MemoryStore>,
    forgets: ObjectName,
}

impl Store for ForgetfulStore {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
        self.inner.prepare(create)
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        if *name != self.forgets {
            return self.inner.put(name, content);
        }
        Box::pin(async move {
            self.inner.put(name, content).await?;
            harm(&self.inner, name, Damage::BitFlipped);
            Ok(())
        })
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        self.inner.get(name, range)
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        self.inner.list(kind)
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        self.inner.list_foreign_root()
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        self.inner.delete(name)
    }
}

#[tokio::test]
async fn what_comes_back_otherwise_than_it_was_sent_ends_the_run_before_any_version() {
    let place = place().await;
    for kind in [ObjectKind::Pack, ObjectKind::IndexSegment, ObjectKind::Key] {
        let inner = Arc::new(MemoryStore::new());
        let forgets = of_kind(&place.store, kind)[0];
        let second = Arc::new(ForgetfulStore {
            inner: Arc::clone(&inner),
            forgets,
        });
        let options = FollowOptions {
            read_back: true,
            ..FOLLOW
        };
        let report = follow(&place.view(), second, options).await.unwrap();
        let is_named = report
            .failures
            .iter()
            .any(|failure| failure.object == forgets.to_string() && failure.text.contains("came back"));
        assert!(is_named, "{report:?}");
        assert!(!inner.inventory().iter().any(|info| info.name == forgets));
        assert!(of_kind(&inner, ObjectKind::Snapshot).is_empty(), "{report:?}");
        assert!(of_kind(&inner, ObjectKind::Config).is_empty(), "{report:?}");
        follow(&place.view(), inner.clone(), FOLLOW).await.unwrap();
        assert_eq!(contents(&inner).await, contents(&place.store).await);
    }
}

/// The first has let a version go that the second still has.
async fn with_a_version_to_go() -> (Place, Arc<MemoryStore>) {
    let place = place().await;
    let second = Arc::new(MemoryStore::new());
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let repository = place.view().open().await.unwrap();
    let oldest = repository.list_snapshots().await.unwrap().snapshots[0].0;
    place.store.delete(&oldest.into()).await.unwrap();
    place.view().compact("local").await.unwrap();
    (place, second)
}

#[tokio::test]
async fn what_changes_at_either_destination_while_it_follows_keeps_all_that_is_extra() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Change {
        BackupAtFirst,
        BackupAtSecond,
        SessionAtSecond,
        LossAtFirst,
    }
    for change in [
        Change::BackupAtFirst,
        Change::BackupAtSecond,
        Change::SessionAtSecond,
        Change::LossAtFirst,
    ] {
        let (place, second) = with_a_version_to_go().await;
        let before: BTreeSet<ObjectName> = second.inventory().iter().map(|info| info.name).collect();
        // The last look at the second target for sessions before the structure of the first is checked.
        let hanging = Arc::new(
            FaultyStore::new(Arc::clone(&second) as Arc<dyn Store>).with(
                When::every(|operation| {
                    operation.kind == OperationKind::List && operation.object_kind == Some(ObjectKind::Plan)
                })
                .times(1),
                Fault::Hang,
            ),
        );
        let view = place.view();
        let meanwhile = async {
            hanging.wait_until_hanging(1).await;
            place.write("meanwhile", &noise(77, 40_000));
            match change {
                Change::BackupAtFirst => {
                    place.view().back_up("local").await.unwrap();
                }
                Change::BackupAtSecond => {
                    place
                        .with_store(Arc::clone(&second))
                        .back_up("other")
                        .await
                        .unwrap();
                }
                Change::SessionAtSecond => {
                    let name = ObjectName::of(ObjectKind::Session, [7; 16]);
                    second.put(&name, Bytes::from_static(b"session")).await.unwrap();
                }
                Change::LossAtFirst => {
                    let key = of_kind(&place.store, ObjectKind::Key)[0];
                    place.store.delete(&key).await.unwrap();
                }
            }
            hanging.release();
        };
        let store = Arc::clone(&hanging) as Arc<dyn Store>;
        let (report, ()) = tokio::join!(follow(&view, store, FOLLOW_AND_REMOVE), meanwhile);
        let report = report.unwrap();
        assert!(report.removed.is_empty(), "{change:?}: {report:?}");
        assert_eq!(report.kept_because.len(), 1, "{change:?}: {report:?}");
        let after: BTreeSet<ObjectName> = second.inventory().iter().map(|info| info.name).collect();
        assert!(after.is_superset(&before), "{change:?}");
    }
}

#[tokio::test]
async fn a_first_that_was_set_back_and_went_on_costs_the_second_neither_versions_nor_ways_in() {
    let place = place().await;
    let old = damage_support::copy(&place.store).await;
    place.write("later", &noise(9, 50_000));
    place.view().back_up("local").await.unwrap();
    // A way in that was added after the state to which the first is set back.
    let key = of_kind(&place.store, ObjectKind::Key)[0];
    let added = ObjectName::of(ObjectKind::Key, [9; 16]);
    let content = place.store.get(&key, None).await.unwrap();
    place.store.put(&added, content).await.unwrap();
    let second = Arc::new(MemoryStore::new());
    follow(&place.view(), second.clone(), FOLLOW).await.unwrap();
    let before: BTreeSet<ObjectName> = second.inventory().iter().map(|info| info.name).collect();
    place.write("since", &noise(10, 50_000));
    let set_back = place.with_store(old);
    set_back.back_up("set-back").await.unwrap();
    let report = follow(&set_back, second.clone(), FOLLOW_AND_REMOVE)
        .await
        .unwrap();
    assert!(
        report.removed.is_empty() && !report.kept_because.is_empty() && !report.copied.is_empty(),
        "{report:?}"
    );
    let after: BTreeSet<ObjectName> = second.inventory().iter().map(|info| info.name).collect();
    assert!(after.is_superset(&before) && after.contains(&added));
    let copy = place.with_store(second);
    assert!(copy.verify("copy").await.is_clean());
}
