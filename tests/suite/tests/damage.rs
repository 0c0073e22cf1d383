// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every kind of object × every kind of damage: what is not affected restores, what is lost is named and never wrong, `repair` brings back what can
//! be had and never makes things worse, and the next backup works or says what stands in its way.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod damage_support;

use std::sync::Arc;

use damage_support::{Contents, DAMAGES, Damage, Place, View, copy, harm, harm_one_of, noise};
use duplicati_engine::{
    format::pack::PackClass,
    id::{PackId, SnapshotId},
    repository::Repository,
    storage::{ObjectKind, ObjectName, Store, memory::MemoryStore},
};

/// A repository with two snapshots, and what each of the two backups stored.
struct Scene {
    place: Place,
    snapshots: [SnapshotId; 2],
    contents: [Contents; 2],
    stored: [Vec<ObjectName>; 2],
    repository: Arc<Repository>,
}

impl Scene {
    /// `kept` never changes and lies in the first packs; `changing` does, and `later` comes with the second snapshot.
    async fn new() -> Self {
        let place = Place::new().await;
        let view = place.view();
        let mut contents = Contents::new();
        let write = |contents: &mut Contents, name: &str, content: Vec<u8>| {
            place.write(name, &content);
            contents.insert(name.to_owned(), content);
        };
        write(&mut contents, "kept/one", noise(1, 90_000));
        write(&mut contents, "kept/two", noise(2, 60_000));
        write(&mut contents, "changing", noise(3, 80_000));
        let before = view.names();
        let first = view.back_up("local").await.unwrap().snapshot.unwrap();
        let between = view.names();
        let first_contents = contents.clone();
        write(&mut contents, "changing", noise(4, 80_000));
        write(&mut contents, "later", noise(5, 70_000));
        let second = view.back_up("local").await.unwrap().snapshot.unwrap();
        let after = view.names();
        let stored = [
            between.difference(&before).copied().collect(),
            after.difference(&between).copied().collect(),
        ];
        let repository = view.open().await.unwrap();
        Self {
            place,
            snapshots: [first, second],
            contents: [first_contents, contents],
            stored,
            repository,
        }
    }

    /// The object of a kind that a backup stored.
    fn object(&self, backup: usize, kind: ObjectKind) -> ObjectName {
        let mut found = self.stored[backup].iter().filter(|name| name.kind() == kind);
        let name = *found.next().unwrap();
        assert!(found.next().is_none(), "one {kind:?} for each backup");
        name
    }

    /// The pack of a class that a backup stored.
    async fn pack(&self, backup: usize, class: PackClass) -> ObjectName {
        let mut packs: Vec<PackId> = Vec::new();
        self.repository
            .load_index(None, |_, pack| {
                if pack.footer.class == class && self.stored[backup].contains(&pack.id.into()) {
                    packs.push(pack.id);
                }
            })
            .await
            .unwrap();
        assert_eq!(packs.len(), 1);
        packs[0].into()
    }

    /// A copy of the target with the second backup's object damaged.
    async fn damaged(&self, objects: [ObjectName; 2], damage: Damage) -> Arc<MemoryStore> {
        let store = copy(&self.place.store).await;
        harm_one_of(&store, objects, damage).await;
        store
    }

    /// Restores one snapshot; each file must be right, or not be there and be named. Returns the names of those that are lost.
    async fn lost(&self, view: &View<'_>, snapshot: usize) -> Vec<String> {
        let restored = view.restore(self.snapshots[snapshot]).await;
        let mut lost = Vec::new();
        for (name, expected) in &self.contents[snapshot] {
            if restored.files.get(name) == Some(expected) {
                continue;
            }
            assert!(
                restored.names(&self.place.source(), name),
                "{name} is lost and nobody says so: {:?}",
                restored.complaints
            );
            lost.push(name.clone());
        }
        assert!(
            restored.complaints.is_empty() || !lost.is_empty(),
            "nothing is lost, but: {:?}",
            restored.complaints
        );
        lost
    }

    /// Backs up something new; a success must be a backup that restores, except where content is damaged without anybody knowing yet.
    async fn back_up_again(&self, view: &View<'_>, needs_repair: bool, may_stay_lost: &[&str], what: &str) {
        self.place.write("newest", what.as_bytes());
        for suffix in ["", "-wal", "-shm"] {
            let path = |name: &str| self.place.folder.path().join(format!("{name}.sqlite{suffix}"));
            if path("local").exists() {
                std::fs::copy(path("local"), path("copied")).unwrap();
            }
        }
        for database in ["copied", "fresh"] {
            let view = self.place.with_store(copy(&view.store).await);
            let before = view.names();
            let id = match view.back_up(database).await {
                Ok(report) => report.snapshot.unwrap(),
                Err(error) => panic!("{what}: the next backup fails: {error}"),
            };
            assert!(
                view.names().is_superset(&before),
                "{what}: a backup removed something"
            );
            // The database at hand may know a segment that the target has lost; then it takes a repair, with this database.
            if needs_repair {
                let report = view.repair(database, false).await.unwrap();
                assert!(report.remaining.is_clean(), "{what}, database {database}");
            }
            let restored = view.restore(id).await;
            let mut expected = self.contents[1].clone();
            expected.insert("newest".to_owned(), what.as_bytes().to_vec());
            for (name, content) in expected {
                let is_right = restored.files.get(&name) == Some(&content);
                let is_excused =
                    may_stay_lost.contains(&name.as_str()) && restored.names(&self.place.source(), &name);
                assert!(
                    is_right || is_excused,
                    "{what}, database {database}: {name} of the new backup: {:?}",
                    restored.complaints
                );
            }
        }
        remove_databases(&self.place, &["fresh", "copied"]);
    }
}

fn remove_databases(place: &Place, names: &[&str]) {
    for name in names {
        for suffix in ["", "-wal", "-shm"] {
            let path = place.folder.path().join(format!("{name}.sqlite{suffix}"));
            let _gone_or_never_there = std::fs::remove_file(path);
        }
    }
}

/// Tests, which must find the damage and name the object and every lost file.
async fn find_damage(
    scene: &Scene,
    view: &View<'_>,
    object: ObjectName,
    lost: &[Vec<String>; 2],
    what: &str,
) {
    remove_databases(&scene.place, &["repairing"]);
    let report = view.verify("repairing").await;
    assert!(!report.is_clean(), "{what}: test finds nothing");
    let object = object.to_string();
    assert!(
        report.findings.iter().any(|finding| finding.object == object),
        "{what}: {object} is not named: {:?}",
        report.findings
    );
    for (snapshot, names) in lost.iter().enumerate() {
        for name in names {
            let path = scene.place.source().join(name);
            let path = path.to_str().unwrap().trim_start_matches('/');
            let is_named = report.lost_files.iter().any(|file| {
                let lost = String::from_utf8_lossy(&file.path.0).into_owned();
                file.snapshot == scene.snapshots[snapshot]
                    && std::path::Path::new(path).starts_with(lost.trim_matches('/'))
            });
            assert!(
                is_named,
                "{what}: {name} is lost and not named: {:?}",
                report.lost_files
            );
        }
    }
}

/// Repairs, and checks that nothing that could be restored before is lost now (S-7), and that a dry run changes nothing.
async fn repair(
    scene: &Scene,
    view: &View<'_>,
    lost_before: &[Vec<String>; 2],
    what: &str,
) -> [Vec<String>; 2] {
    let before = view.store.inventory();
    remove_databases(&scene.place, &["dry"]);
    view.repair("dry", true).await.unwrap();
    assert_eq!(
        view.store.inventory(),
        before,
        "{what}: a dry run changed something"
    );
    let packs = |view: &View<'_>| -> Vec<ObjectName> {
        let kinds = [
            ObjectKind::Pack,
            ObjectKind::Snapshot,
            ObjectKind::Key,
            ObjectKind::Config,
        ];
        view.names()
            .into_iter()
            .filter(|name| kinds.contains(&name.kind()))
            .collect()
    };
    let kept = packs(view);
    view.repair("repairing", false)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let after = packs(view);
    for name in kept {
        assert!(after.contains(&name), "{what}: repair removed {name}");
    }
    let lost = [scene.lost(view, 0).await, scene.lost(view, 1).await];
    for (before, after) in lost_before.iter().zip(&lost) {
        for name in after {
            assert!(before.contains(name), "{what}: repair cost {name}");
        }
    }
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_data_pack_costs_its_own_files_and_no_others_and_the_next_backup_heals_them() {
    let scene = Scene::new().await;
    let packs = [
        scene.pack(0, PackClass::Data).await,
        scene.pack(1, PackClass::Data).await,
    ];
    for damage in DAMAGES {
        let what = format!("data pack, {damage:?}");
        let view = scene.place.with_store(scene.damaged(packs, damage).await);
        let lost = [scene.lost(&view, 0).await, scene.lost(&view, 1).await];
        if damage == Damage::Swapped {
            assert!(!lost[0].is_empty() && !lost[1].is_empty(), "{what}: {lost:?}");
        } else {
            assert_eq!(lost[0], Vec::<String>::new(), "{what}");
            assert!(
                !lost[1].is_empty() && !lost[1].iter().any(|name| name.starts_with("kept")),
                "{what}: {lost:?}"
            );
        }
        // Content that went bad in a pack of the right size is only found by reading it.
        let may_stay_lost: &[&str] = match damage {
            Damage::Missing | Damage::Truncated => &[],
            Damage::BitFlipped => &["changing", "later"],
            Damage::Swapped => &["changing", "later", "kept/one", "kept/two"],
        };
        scene.back_up_again(&view, false, may_stay_lost, &what).await;
        find_damage(&scene, &view, packs[1], &lost, &what).await;
        // Even without a repair, the machine that tested does not rely on it any more; a repair makes all versions right with that.
        heals_without_repair(&scene, &view, damage, &what).await;
        let lost = repair(&scene, &view, &lost, &what).await;
        if damage == Damage::Swapped {
            assert_eq!(lost, [Vec::<String>::new(), Vec::new()], "{what}: both are there");
        }
        scene.back_up_again(&view, false, &[], &what).await;
        heals(&scene, &view, &what).await;
    }
}

/// A backup with the database that the test left, then a repair: every version is whole again.
async fn heals_without_repair(scene: &Scene, view: &View<'_>, damage: Damage, what: &str) {
    let view = scene.place.with_store(copy(&view.store).await);
    for suffix in ["", "-wal", "-shm"] {
        let path = |name: &str| scene.place.folder.path().join(format!("{name}.sqlite{suffix}"));
        let _absent = std::fs::copy(path("repairing"), path("tested"));
    }
    scene.place.write("newest", format!("{what}, tested").as_bytes());
    view.back_up("tested").await.unwrap();
    // The spare copy is the one that is right: no collection may take it.
    view.compact("tested").await.unwrap();
    if damage != Damage::Swapped {
        // (A machine that knows nothing would take exchanged packs for what their names say, and there both are spare.)
        remove_databases(&scene.place, &["elsewhere"]);
        view.compact("elsewhere").await.unwrap();
    }
    view.repair("tested", false).await.unwrap();
    for snapshot in 0..2 {
        assert_eq!(scene.lost(&view, snapshot).await, Vec::<String>::new(), "{what}");
    }
    remove_databases(&scene.place, &["tested", "elsewhere"]);
}

/// After a repair, a backup on any machine makes every version whole, and then the damaged pack is waste that goes.
async fn heals(scene: &Scene, view: &View<'_>, what: &str) {
    scene.place.write("newest", format!("{what}, healed").as_bytes());
    remove_databases(&scene.place, &["healing"]);
    view.back_up("healing").await.unwrap();
    for snapshot in 0..2 {
        assert_eq!(scene.lost(view, snapshot).await, Vec::<String>::new(), "{what}");
    }
    view.compact("healing").await.unwrap();
    let report = view.verify("healing").await;
    assert!(
        report.is_clean() && report.waste.is_empty(),
        "{what}: {:?} {:?}",
        report.findings,
        report.waste
    );
    for snapshot in 0..2 {
        assert_eq!(scene.lost(view, snapshot).await, Vec::<String>::new(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_tree_pack_costs_its_own_snapshot_and_no_other() {
    let scene = Scene::new().await;
    let packs = [
        scene.pack(0, PackClass::Tree).await,
        scene.pack(1, PackClass::Tree).await,
    ];
    for damage in DAMAGES {
        let what = format!("tree pack, {damage:?}");
        let view = scene.place.with_store(scene.damaged(packs, damage).await);
        let lost = [scene.lost(&view, 0).await, scene.lost(&view, 1).await];
        if damage != Damage::Swapped {
            assert_eq!(lost[0], Vec::<String>::new(), "{what}");
        }
        assert!(!lost[1].is_empty(), "{what}");
        let may_stay_lost: &[&str] = match damage {
            Damage::Missing | Damage::Truncated => &[],
            Damage::BitFlipped | Damage::Swapped => &["kept/one", "kept/two"],
        };
        scene.back_up_again(&view, false, may_stay_lost, &what).await;
        find_damage(&scene, &view, packs[1], &lost, &what).await;
        let lost = repair(&scene, &view, &lost, &what).await;
        if damage == Damage::Swapped {
            assert_eq!(lost, [Vec::<String>::new(), Vec::new()], "{what}: both are there");
        }
        scene.back_up_again(&view, false, &[], &what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_segment_is_repaired_completely() {
    let scene = Scene::new().await;
    let segments = [
        scene.object(0, ObjectKind::IndexSegment),
        scene.object(1, ObjectKind::IndexSegment),
    ];
    for damage in DAMAGES {
        let what = format!("index segment, {damage:?}");
        let view = scene.place.with_store(scene.damaged(segments, damage).await);
        let lost = [scene.lost(&view, 0).await, scene.lost(&view, 1).await];
        assert_eq!(lost[0], Vec::<String>::new(), "{what}");
        assert_eq!(lost[1].is_empty(), damage == Damage::Swapped, "{what}: {lost:?}");
        remove_databases(&scene.place, &["testing"]);
        let report = view.verify("testing").await;
        assert_eq!(
            report.is_clean(),
            damage == Damage::Swapped,
            "{what}: {:?}",
            report.findings
        );
        scene.back_up_again(&view, true, &[], &what).await;
        let lost = repair(&scene, &view, &lost, &what).await;
        assert_eq!(lost, [Vec::<String>::new(), Vec::new()], "{what}");
        remove_databases(&scene.place, &["again"]);
        let again = view.repair("again", false).await.unwrap();
        assert!(
            again.remaining.is_clean() && again.described_packs.is_empty(),
            "{what}"
        );
        scene.back_up_again(&view, false, &[], &what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_costs_its_own_snapshot_and_stops_collections_until_it_is_given_up_by_name() {
    let scene = Scene::new().await;
    let manifests = scene.snapshots.map(ObjectName::from);
    for damage in DAMAGES {
        let what = format!("manifest, {damage:?}");
        let view = scene.place.with_store(scene.damaged(manifests, damage).await);
        remove_databases(&scene.place, &["testing", "repairing"]);
        let report = view.verify("testing").await;
        if damage == Damage::Swapped {
            // Each says whose name it has, and nothing is deleted until they are where they belong.
            for (name, other) in [(0, 1), (1, 0)] {
                let (name, other) = (manifests[name].to_string(), manifests[other].to_string());
                let says_so = |text: &str| text.contains(&format!("copy of {other}"));
                assert!(
                    report
                        .findings
                        .iter()
                        .any(|finding| finding.object == name && says_so(&finding.text)),
                    "{what}: {:?}",
                    report.findings
                );
            }
            view.repair("repairing", false).await.unwrap();
            assert!(view.compact("repairing").await.is_err(), "{what}");
            let contents = [
                view.store.get(&manifests[0], None).await.unwrap(),
                view.store.get(&manifests[1], None).await.unwrap(),
            ];
            for (name, content) in manifests.iter().zip(contents.into_iter().rev()) {
                view.store.delete(name).await.unwrap();
                view.store.put(name, content).await.unwrap();
            }
            for number in 0..2 {
                assert_eq!(scene.lost(&view, number).await, Vec::<String>::new(), "{what}");
            }
            view.compact("repairing").await.unwrap();
            scene.back_up_again(&view, false, &[], &what).await;
            continue;
        }
        let lost = [scene.lost(&view, 0).await, scene.lost(&view, 1).await];
        assert_eq!(lost[0], Vec::<String>::new(), "{what}");
        repair(&scene, &view, &lost, &what).await;
        scene.back_up_again(&view, false, &[], &what).await;
        if damage == Damage::Missing {
            continue;
        }
        let name = manifests[1].to_string();
        assert!(
            report.findings.iter().any(|finding| finding.object == name
                && finding
                    .text
                    .contains(&format!("--give-up={}", scene.snapshots[1]))),
            "{what}"
        );
        let before = view.store.inventory();
        let refused = view.compact("repairing").await.unwrap_err().to_string();
        assert!(refused.contains("--give-up="), "{what}: {refused}");
        // What can be read is not given up, and then nothing is.
        assert!(
            view.give_up(scene.snapshots.to_vec(), false).await.is_err(),
            "{what}"
        );
        let dry = view.give_up(vec![scene.snapshots[1]], true).await.unwrap();
        assert_eq!(dry.given_up.len(), 1, "{what}");
        assert_eq!(view.store.inventory(), before, "{what}");
        view.give_up(vec![scene.snapshots[1]], false).await.unwrap();
        let listing = view.open().await.unwrap().list_snapshots().await.unwrap();
        assert!(
            listing.unreadable.is_empty() && listing.snapshots.len() == 1,
            "{what}"
        );
        assert_eq!(
            listing.fences,
            [scene.snapshots[1]],
            "{what}: nobody commits under that name any more"
        );
        let report = view.compact("repairing").await.unwrap();
        assert!(
            report.is_finished() && report.deleted_packs > 0,
            "{what}: {report:?}"
        );
        assert_eq!(scene.lost(&view, 0).await, Vec::<String>::new(), "{what}");
        scene.back_up_again(&view, false, &[], &what).await;
        assert!(
            view.give_up(vec![scene.snapshots[1]], false).await.is_err(),
            "{what}: a fence stays"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_config_or_key_is_refused_by_name_and_costs_nothing_once_it_is_back() {
    let scene = Scene::new().await;
    let key = *scene
        .place
        .view()
        .names()
        .iter()
        .find(|name| name.kind() == ObjectKind::Key)
        .unwrap();
    let other = Place::new().await;
    for (name, word) in [(ObjectName::CONFIG, "repository"), (key, "key")] {
        for damage in DAMAGES {
            let what = format!("{name}, {damage:?}");
            let store = copy(&scene.place.store).await;
            match damage {
                Damage::Swapped => {
                    let foreign = other.view().names();
                    let foreign = foreign.iter().find(|other| other.kind() == name.kind()).unwrap();
                    let content = other.store.get(foreign, None).await.unwrap();
                    store.damage(&name, |_| Some(content));
                }
                damage => harm(&store, &name, damage),
            }
            let before = store.inventory();
            let view = scene.place.with_store(store);
            let error = match view.open().await {
                Ok(_) => panic!("{what}: it opens all the same"),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(word), "{what}: {error}");
            assert!(view.back_up("local").await.is_err(), "{what}");
            assert!(view.repair("local", false).await.is_err(), "{what}");
            assert_eq!(view.store.inventory(), before, "{what}");
            let whole = scene.place.store.get(&name, None).await.unwrap();
            view.store.damage(&name, |_| Some(whole));
            assert_eq!(scene.lost(&view, 1).await, Vec::<String>::new(), "{what}");
        }
    }
}
