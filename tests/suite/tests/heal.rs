// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every kind of object × every kind of damage, healed bit for bit from a second target; what cannot be healed is named and not touched.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod damage_support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use damage_support::{DAMAGES, Damage, PASSPHRASE, Place, copy, harm, noise};
use duplicati_actors::{
    control::RunControl,
    error::RunError,
    events::Monitor,
    follow::Leader,
    heal::{HealOptions, HealReport, run_heal},
    inventory::load_reading_index,
};
use duplicati_backends::decorators::{Fault, FaultyStore, OperationKind, When};
use duplicati_engine::{
    clock::SystemClock,
    crypto::key_file::Unlock,
    id::PackId,
    storage::{ObjectKind, ObjectName, Store, StoreErrorKind, memory::MemoryStore},
};

async fn place() -> Place {
    let place = Place::new().await;
    place.write("kept", &noise(1, 90_000));
    place.write("folder/changing", &noise(2, 80_000));
    place.view().back_up("local").await.unwrap();
    place.write("folder/changing", &noise(3, 80_000));
    place.view().back_up("local").await.unwrap();
    place
}

fn thorough() -> HealOptions {
    HealOptions {
        read_everything: true,
        bring_back_versions: true,
        ..HealOptions::default()
    }
}

async fn heal(
    place: &Place,
    first: Arc<dyn Store>,
    second: &Arc<MemoryStore>,
    options: HealOptions,
) -> Result<HealReport, RunError> {
    let leader = Leader {
        repository: place.with_store(Arc::clone(second)).open().await?,
        unlock: Some(Arc::new(Unlock::Passphrase(PASSPHRASE.to_owned().into()))),
    };
    run_heal(
        first,
        leader,
        None,
        options,
        Arc::new(SystemClock),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
}

async fn contents(store: &MemoryStore) -> Vec<(ObjectName, Vec<u8>)> {
    let mut all = Vec::new();
    for info in store.inventory() {
        all.push((info.name, store.get(&info.name, None).await.unwrap().to_vec()));
    }
    all
}

#[tokio::test]
async fn every_object_that_is_missing_or_damaged_comes_back_bit_for_bit() {
    let place = place().await;
    let whole = contents(&place.store).await;
    for (name, _) in &whole {
        for damage in DAMAGES {
            if damage == Damage::Swapped {
                continue;
            }
            let (first, second) = (copy(&place.store).await, copy(&place.store).await);
            harm(&first, name, damage);
            let report = heal(&place, first.clone(), &second, thorough()).await.unwrap();
            assert!(report.failures.is_empty(), "{name} {damage:?}: {report:?}");
            assert_eq!(
                report.brought_back.len() + report.replaced.len(),
                1,
                "{name} {damage:?}: {report:?}"
            );
            assert_eq!(contents(&first).await, whole, "{name} {damage:?}");
            assert_eq!(contents(&second).await, whole, "the second is only read");
        }
    }
}

#[tokio::test]
async fn damage_that_shows_in_listings_needs_no_reading_of_everything() {
    let place = place().await;
    let whole = contents(&place.store).await;
    for (name, _) in whole.iter().filter(|(name, _)| name.kind() == ObjectKind::Pack) {
        for damage in [Damage::Missing, Damage::Truncated] {
            let (first, second) = (copy(&place.store).await, copy(&place.store).await);
            harm(&first, name, damage);
            heal(&place, first.clone(), &second, HealOptions::default())
                .await
                .unwrap();
            assert_eq!(contents(&first).await, whole, "{name} {damage:?}");
        }
    }
}

#[tokio::test]
async fn what_is_damaged_in_both_places_is_named_and_not_touched() {
    let place = place().await;
    for (name, _) in contents(&place.store).await {
        // The second opens with its config and its one key file.
        if matches!(name.kind(), ObjectKind::Config | ObjectKind::Key) {
            continue;
        }
        let (first, second) = (copy(&place.store).await, copy(&place.store).await);
        harm(&first, &name, Damage::BitFlipped);
        harm(&second, &name, Damage::Truncated);
        let before = contents(&first).await;
        let report = heal(&place, first.clone(), &second, thorough()).await.unwrap();
        assert!(
            report
                .failures
                .iter()
                .any(|failure| failure.object == name.to_string()),
            "{name}: {report:?}"
        );
        assert!(
            report.brought_back.is_empty() && report.replaced.is_empty(),
            "{report:?}"
        );
        assert_eq!(contents(&first).await, before, "{name}");
    }
}

#[tokio::test]
async fn another_repository_heals_nothing() {
    let (place, other) = (place().await, place().await);
    let pack = contents(&place.store)
        .await
        .iter()
        .map(|(name, _)| *name)
        .find(|name| name.kind() == ObjectKind::Pack)
        .unwrap();
    harm(&place.store, &pack, Damage::Missing);
    for loses_config in [false, true] {
        if loses_config {
            place.store.delete(&ObjectName::CONFIG).await.unwrap();
        }
        let before = contents(&place.store).await;
        let error = heal(&other, place.store.clone(), &other.store, thorough())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(contents(&place.store).await, before);
    }
}

#[tokio::test]
async fn a_dry_run_names_what_it_would_heal_and_changes_nothing() {
    let place = place().await;
    let (first, second) = (copy(&place.store).await, copy(&place.store).await);
    for (name, _) in contents(&first).await {
        harm(&first, &name, Damage::BitFlipped);
    }
    let before = contents(&first).await;
    let options = HealOptions {
        dry_run: true,
        ..thorough()
    };
    let report = heal(&place, first.clone(), &second, options).await.unwrap();
    assert!(
        report.replaced.contains(&ObjectName::CONFIG.to_string()),
        "{report:?}"
    );
    assert_eq!(contents(&first).await, before);
}

#[tokio::test]
async fn a_version_that_was_deleted_stays_deleted_unless_asked_for() {
    let place = place().await;
    let second = copy(&place.store).await;
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
    let before = contents(&place.store).await;
    let report = heal(&place, place.store.clone(), &second, HealOptions::default())
        .await
        .unwrap();
    assert_eq!(report.versions_elsewhere, 1);
    assert_eq!(contents(&place.store).await, before);
    heal(&place, place.store.clone(), &second, thorough())
        .await
        .unwrap();
    let view = place.view();
    assert_eq!(
        view.open()
            .await
            .unwrap()
            .list_snapshots()
            .await
            .unwrap()
            .snapshots
            .len(),
        2
    );
    assert!(view.verify("fresh").await.is_clean());
}

#[tokio::test]
async fn data_that_a_repair_has_given_up_comes_back() {
    let place = place().await;
    let second = copy(&place.store).await;
    let packs: Vec<ObjectName> = place
        .store
        .inventory()
        .iter()
        .map(|info| info.name)
        .filter(|name| name.kind() == ObjectKind::Pack)
        .collect();
    for pack in &packs {
        harm(&place.store, pack, Damage::Missing);
    }
    place.view().repair("local", false).await.unwrap();
    assert!(!place.view().verify("fresh").await.is_clean());
    let report = heal(&place, place.store.clone(), &second, HealOptions::default())
        .await
        .unwrap();
    assert!(report.failures.is_empty(), "{report:?}");
    assert!(place.view().verify("fresh").await.is_clean());
}

#[tokio::test]
async fn a_target_that_refuses_ends_with_the_object_named_and_the_next_run_goes_on() {
    let place = place().await;
    let whole = contents(&place.store).await;
    for kind in [OperationKind::Put, OperationKind::Delete] {
        let (first, second) = (copy(&place.store).await, copy(&place.store).await);
        let pack = whole
            .iter()
            .map(|(name, _)| *name)
            .find(|name| name.kind() == ObjectKind::Pack)
            .unwrap();
        harm(&first, &pack, Damage::Truncated);
        let faulty = FaultyStore::new(Arc::clone(&first) as Arc<dyn Store>).with(
            When::every(move |operation| operation.kind == kind && operation.name == Some(pack)),
            Fault::FailBefore(StoreErrorKind::PermissionDenied),
        );
        let error = heal(&place, Arc::new(faulty), &second, HealOptions::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&pack.to_string()), "{error}");
        heal(&place, first.clone(), &second, HealOptions::default())
            .await
            .unwrap();
        assert_eq!(contents(&first).await, whole);
    }
}

/// The oldest pack rots without a sign of it in listings, a test finds it, and a repair takes it out of the index.
async fn with_a_repaired_rotten_pack(place: &Place) -> ObjectName {
    let pack = packs(&place.store)[0];
    harm(&place.store, &pack, Damage::BitFlipped);
    assert!(!place.view().verify("local").await.is_clean());
    place.view().repair("local", false).await.unwrap();
    pack
}

fn packs(store: &MemoryStore) -> Vec<ObjectName> {
    let all = store.inventory();
    all.iter()
        .map(|info| info.name)
        .filter(|name| name.kind() == ObjectKind::Pack)
        .collect()
}

#[tokio::test]
async fn a_rotten_pack_that_a_repair_took_out_of_the_index_is_replaced_before_the_index_names_it_again() {
    let place = place().await;
    let second = copy(&place.store).await;
    let pack = with_a_repaired_rotten_pack(&place).await;
    let report = heal(&place, place.store.clone(), &second, HealOptions::default())
        .await
        .unwrap();
    assert!(report.failures.is_empty(), "{report:?}");
    assert_eq!(report.replaced, [pack.to_string()]);
    let view = place.view();
    assert!(view.verify("fresh").await.is_clean());
    for (id, _) in view
        .open()
        .await
        .unwrap()
        .list_snapshots()
        .await
        .unwrap()
        .snapshots
    {
        let restored = view.restore(id).await;
        assert!(restored.complaints.is_empty(), "{:?}", restored.complaints);
        assert_eq!(restored.files.len(), 2);
    }
}

#[tokio::test]
async fn a_pack_that_is_rotten_in_both_places_does_not_come_back_into_the_index() {
    let place = place().await;
    let second = copy(&place.store).await;
    let pack = with_a_repaired_rotten_pack(&place).await;
    harm(&second, &pack, Damage::Truncated);
    let report = heal(&place, place.store.clone(), &second, HealOptions::default())
        .await
        .unwrap();
    let is_named = report
        .failures
        .iter()
        .any(|failure| failure.object == pack.to_string());
    assert!(is_named, "{report:?}");
    let repository = place.view().open().await.unwrap();
    let (index, _) = load_reading_index(&repository, None).await.unwrap();
    assert!(!index.contains_pack(&PackId(pack.id())));
}

/// The older version is deleted and its data collected; the second target still has it.
async fn with_a_deleted_version(place: &Place) -> (Arc<MemoryStore>, ObjectName) {
    let second = copy(&place.store).await;
    let repository = place.view().open().await.unwrap();
    let oldest = repository.list_snapshots().await.unwrap().snapshots[0].0.into();
    place.store.delete(&oldest).await.unwrap();
    place.view().compact("local").await.unwrap();
    (second, oldest)
}

#[tokio::test]
async fn a_version_comes_back_after_all_of_its_data_wherever_it_is_cut_off() {
    let place = place().await;
    let (second, oldest) = with_a_deleted_version(&place).await;
    for cut in 0.. {
        let first = copy(&place.store).await;
        let faulty = FaultyStore::new(Arc::clone(&first) as Arc<dyn Store>).with(
            When::every(|operation| operation.kind == OperationKind::Put).after(cut),
            Fault::CrashBefore,
        );
        let is_done = heal(&place, Arc::new(faulty), &second, thorough()).await.is_ok();
        let view = place.with_store(Arc::clone(&first));
        assert!(view.verify("fresh").await.is_clean(), "cut after {cut} writes");
        if is_done {
            assert!(cut > 2 && view.names().contains(&oldest), "{cut}");
            break;
        }
    }
}

#[tokio::test]
async fn no_version_comes_back_while_a_collection_is_under_way() {
    let place = place().await;
    let (second, oldest) = with_a_deleted_version(&place).await;
    let plan = place.view().put_plan(1, Vec::new()).await;
    for is_readable in [true, false] {
        if !is_readable {
            harm(&place.store, &plan, Damage::BitFlipped);
        }
        let before = contents(&place.store).await;
        let report = heal(&place, place.store.clone(), &second, thorough())
            .await
            .unwrap();
        let is_said = report.failures.iter().any(|failure| {
            failure.object == plan.to_string() && failure.text.contains("no version comes back")
        });
        assert!(is_said, "{report:?}");
        assert!(!place.view().names().contains(&oldest));
        assert_eq!(contents(&place.store).await, before);
    }
}

#[tokio::test]
async fn a_version_whose_data_cannot_be_had_stays_away() {
    let place = place().await;
    let (second, oldest) = with_a_deleted_version(&place).await;
    let names = place.view().names();
    for pack in packs(&second).into_iter().filter(|pack| !names.contains(pack)) {
        harm(&second, &pack, Damage::BitFlipped);
    }
    let report = heal(&place, place.store.clone(), &second, thorough())
        .await
        .unwrap();
    let is_named = report
        .failures
        .iter()
        .any(|failure| failure.object == oldest.to_string());
    assert!(is_named, "{report:?}");
    assert!(!place.view().names().contains(&oldest));
    assert!(place.view().verify("fresh").await.is_clean());
}

/// A bad sector under one object: it cannot be read until its place is freed.
fn with_a_bad_sector(store: &Arc<MemoryStore>, name: ObjectName, kind: StoreErrorKind) -> Arc<FaultyStore> {
    let is_rewritten = Arc::new(AtomicBool::new(false));
    let rewritten = Arc::clone(&is_rewritten);
    let note = When::every(move |operation| {
        if operation.kind == OperationKind::Delete && operation.name == Some(name) {
            rewritten.store(true, Ordering::SeqCst);
        }
        false
    });
    let is_bad = When::every(move |operation| {
        operation.kind == OperationKind::Get
            && operation.name == Some(name)
            && !is_rewritten.load(Ordering::SeqCst)
    });
    let store = FaultyStore::new(Arc::clone(store) as Arc<dyn Store>);
    Arc::new(
        store
            .with(note, Fault::Hang)
            .with(is_bad, Fault::FailBefore(kind)),
    )
}

#[tokio::test]
async fn what_a_bad_sector_holds_is_replaced() {
    let place = place().await;
    for (name, _) in contents(&place.store).await {
        for kind in [StoreErrorKind::Unreadable, StoreErrorKind::Truncated] {
            // Reading whole packs is never answered with this one: their size is listed, and a shorter one shows there.
            if (name.kind(), kind) == (ObjectKind::Pack, StoreErrorKind::Truncated) {
                continue;
            }
            let (first, second) = (copy(&place.store).await, copy(&place.store).await);
            let faulty = with_a_bad_sector(&first, name, kind);
            let report = heal(&place, faulty, &second, thorough()).await.unwrap();
            assert!(report.failures.is_empty(), "{name}: {report:?}");
            assert_eq!(report.replaced, [name.to_string()], "{kind:?}");
        }
    }
}

#[tokio::test]
async fn given_up_data_comes_back_in_place_of_what_a_bad_sector_holds() {
    let place = place().await;
    let second = copy(&place.store).await;
    let pack = with_a_repaired_rotten_pack(&place).await;
    let faulty = with_a_bad_sector(&place.store, pack, StoreErrorKind::Unreadable);
    let report = heal(&place, faulty, &second, HealOptions::default())
        .await
        .unwrap();
    assert!(report.failures.is_empty(), "{report:?}");
    assert!(place.view().verify("fresh").await.is_clean());
}
