// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The local database is never authority (S-5): whatever becomes of it, backups and restores come out the same and nothing at the target goes.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod damage_support;

use std::path::Path;

use damage_support::{Contents, Place, View, noise};
use duplicati_engine::storage::{ObjectKind, ObjectName};

/// Leaves a database named `present` after two backups, and one named `old` as it was after the first.
async fn place_with_history() -> (Place, Contents) {
    let place = Place::new().await;
    for number in 0..5 {
        place.write(&format!("sub/{number}"), &noise(number, 40_000));
    }
    place.view().back_up("present").await.unwrap();
    copy_database(&place, "present", "old");
    place.write("sub/3", &noise(33, 50_000));
    place.write("later", &noise(44, 70_000));
    place.view().back_up("present").await.unwrap();
    let contents = (0..5)
        .map(|number| {
            let seed = if number == 3 { 33 } else { number };
            let size = if number == 3 { 50_000 } else { 40_000 };
            (format!("sub/{number}"), noise(seed, size))
        })
        .chain([("later".to_owned(), noise(44, 70_000))])
        .collect();
    (place, contents)
}

fn copy_database(place: &Place, from: &str, to: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let path = |name: &str| place.folder.path().join(format!("{name}.sqlite{suffix}"));
        if path(from).exists() {
            std::fs::copy(path(from), path(to)).unwrap();
        }
    }
}

fn remove_database(place: &Place, name: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let path = place.folder.path().join(format!("{name}.sqlite{suffix}"));
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Backs up with the database: nothing is new, nothing goes; then one change is stored and restored, with little more than itself.
async fn assert_works_as_ever(place: &Place, view: &View<'_>, contents: &Contents, database: &str) {
    let before = view.names();
    let unchanged = view.back_up(database).await.unwrap();
    assert!(
        unchanged.unchanged && unchanged.snapshot.is_none(),
        "{unchanged:?}"
    );
    assert_eq!(unchanged.progress.opened_files, 0);
    assert_eq!(view.names(), before);

    place.write("change", b"one more file");
    let changed = view.back_up(database).await.unwrap();
    assert_eq!(changed.progress.added_files, 1);
    assert_eq!(changed.progress.new_bytes.min(20_000), changed.progress.new_bytes);
    let after = view.names();
    assert!(after.is_superset(&before), "something at the target went");
    let packs = |names: &std::collections::BTreeSet<ObjectName>| {
        names
            .iter()
            .filter(|name| name.kind() == ObjectKind::Pack)
            .count()
    };
    assert!(packs(&after) - packs(&before) <= 2);

    let restored = view.restore(changed.snapshot.unwrap()).await;
    let mut expected = contents.clone();
    expected.insert("change".to_owned(), b"one more file".to_vec());
    assert_eq!(restored.complaints, []);
    assert!(restored.files == expected, "{:?}", restored.files.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_database_changes_nothing() {
    let (place, contents) = place_with_history().await;
    remove_database(&place, "present");
    assert_works_as_ever(&place, &place.view(), &contents, "present").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_database_changes_nothing() {
    for part in [0.0, 0.01, 0.3, 0.6, 0.999] {
        let (place, contents) = place_with_history().await;
        let path = place.database("present");
        let whole = std::fs::read(&path).unwrap();
        remove_database(&place, "present");
        std::fs::write(&path, &whole[..(whole.len() as f64 * part) as usize]).unwrap();
        assert_works_as_ever(&place, &place.view(), &contents, "present").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_noise_changes_nothing() {
    let (place, contents) = place_with_history().await;
    remove_database(&place, "present");
    std::fs::write(place.database("present"), noise(9, 20_000)).unwrap();
    assert_works_as_ever(&place, &place.view(), &contents, "present").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_before_the_last_backups_changes_nothing() {
    let (place, contents) = place_with_history().await;
    assert_works_as_ever(&place, &place.view(), &contents, "old").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_knows_more_than_the_target_is_not_believed() {
    let (place, _) = place_with_history().await;
    // The target as it was before the second backup, the database as it is after it: everything of the second backup is stored again.
    let earlier = damage_support::copy(&place.store).await;
    let repository = place.view().open().await.unwrap();
    let listing = repository.list_snapshots().await.unwrap();
    let newest = listing.snapshots.last().unwrap().0;
    let index = repository.store.list(ObjectKind::IndexSegment).await.unwrap();
    earlier.damage(&ObjectName::from(newest), |_| None);
    let mut segments: Vec<_> = Vec::new();
    for info in index.objects {
        let local = place.view().local(&repository, "old");
        let known = local.segment_ids().unwrap();
        if !known.iter().any(|id| ObjectName::from(*id) == info.name) {
            segments.push(info.name);
        }
    }
    assert!(!segments.is_empty());
    for name in &segments {
        earlier.damage(name, |_| None);
    }
    let view = place.with_store(earlier);
    let report = view.back_up("present").await.unwrap();
    let restored = view.restore(report.snapshot.unwrap()).await;
    assert_eq!(restored.complaints, []);
    assert!(restored.files["later"] == noise(44, 70_000));
    assert!(restored.files["sub/3"] == noise(33, 50_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_another_machine_changes_nothing() {
    let (place, contents) = place_with_history().await;
    let elsewhere = Place::new().await;
    elsewhere.write("other", &noise(77, 90_000));
    elsewhere.view().back_up("foreign").await.unwrap();
    bring(&elsewhere.database("foreign"), &place.database("foreign"));
    assert_works_as_ever(&place, &place.view(), &contents, "foreign").await;
}

fn bring(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let name = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::path::PathBuf::from(name)
        };
        if name(from).exists() {
            std::fs::copy(name(from), name(to)).unwrap();
        }
    }
}
