// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Taking files out of versions, because a filter names them or because they are broken; and telling what packs cost.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod damage_support;

use std::{collections::HashSet, sync::Arc};

use damage_support::{Place, View, noise};
use duplicati_actors::{
    affected::run_affected,
    broken::{BrokenOptions, BrokenReport, run_list_broken},
    control::RunControl,
    events::Monitor,
    purge::{PurgeError, PurgeOptions, PurgeReport, PurgeWhat, run_purge},
    verify::{CheckOptions, run_check},
};
use duplicati_engine::{
    clock::SystemClock,
    format::pack::PackClass,
    id::PackId,
    storage::{ObjectKind, ObjectName},
};

/// Two snapshots: `wide` has enough names for several tree chunks, `secret` is what should not have been backed up.
async fn history() -> Place {
    let place = Place::new().await;
    for number in 0..700 {
        place.write(
            &format!("wide/{number:04}"),
            format!("content {number}").as_bytes(),
        );
    }
    place.write("secret/one", &noise(1, 30_000));
    place.write("secret/two", &noise(2, 30_000));
    place.write("kept", &noise(3, 50_000));
    place.view().back_up("local").await.unwrap();
    place.write("secret/two", &noise(4, 40_000));
    place.write("later", &noise(5, 60_000));
    place.view().back_up("local").await.unwrap();
    place
}

async fn purge(view: &View<'_>, what: PurgeWhat, dry_run: bool) -> Result<PurgeReport, PurgeError> {
    let repository = view.open().await.unwrap();
    let mut local = view.local(&repository, "local");
    let options = PurgeOptions {
        snapshots: Vec::new(),
        what,
        dry_run,
        full: true,
        host: "host".to_owned(),
        program: "test".to_owned(),
    };
    run_purge(
        repository,
        Some(&mut local),
        options,
        Arc::new(SystemClock),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
}

fn below(place: &Place, name: &str) -> PurgeWhat {
    let mut folder = place.source().join(name).into_os_string().into_encoded_bytes();
    folder.push(b'/');
    PurgeWhat::Matching(Arc::new(move |path: &[u8]| path.starts_with(&folder)))
}

async fn assert_sound(view: &View<'_>) {
    let report = run_check(
        view.open().await.unwrap(),
        None,
        CheckOptions { full: true },
        Arc::new(SystemClock),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
    .unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

async fn broken(view: &View<'_>) -> BrokenReport {
    let options = BrokenOptions {
        full: true,
        ..BrokenOptions::default()
    };
    run_list_broken(view.open().await.unwrap(), None, options, RunControl::new())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_waits_for_the_end_of_a_collection() {
    let place = history().await;
    let view = place.view();
    view.put_plan(1, vec![PackId([1; 16])]).await;
    let before = view.store.inventory();
    let Err(PurgeError::Run(error)) = purge(&view, below(&place, "secret"), false).await else {
        panic!("a plan stands")
    };
    assert!(error.to_string().contains("compact"), "{error}");
    assert_eq!(view.store.inventory(), before, "sessions and all are as before");
    view.compact("local").await.unwrap();
    assert_eq!(
        purge(&view, below(&place, "secret"), false)
            .await
            .unwrap()
            .snapshots
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_files_out_of_every_version_and_leaves_all_others() {
    let place = history().await;
    let view = place.view();
    let before = view
        .open()
        .await
        .unwrap()
        .list_snapshots()
        .await
        .unwrap()
        .snapshots;
    let inventory = view.store.inventory();
    let dry = purge(&view, below(&place, "secret"), true).await.unwrap();
    assert_eq!(view.store.inventory(), inventory);
    let report = purge(&view, below(&place, "secret"), false).await.unwrap();
    assert_eq!(report.snapshots.len(), 2);
    for (dry, done) in dry.snapshots.iter().zip(&report.snapshots) {
        assert_eq!((dry.old, dry.removed), (done.old, done.removed));
        assert_eq!((done.removed.files, done.removed.folders), (2, 1));
        assert!(dry.new.is_none() && done.new.is_some());
    }
    let repository = view.open().await.unwrap();
    let after = repository.list_snapshots().await.unwrap().snapshots;
    assert_eq!(after.len(), 2);
    for (place_in_list, ((old_id, old), (new_id, new))) in before.iter().zip(&after).enumerate() {
        assert_ne!(old_id, new_id);
        assert_eq!(old.time, new.time);
        assert_eq!(new.totals.files, old.totals.files - 2);
        assert_eq!(new.totals.directories, old.totals.directories - 1);
        assert_eq!(new.totals.entries, old.totals.entries - 3);
        let restored = view.restore(*new_id).await;
        assert_eq!(restored.complaints, []);
        assert_eq!(restored.files.len(), 701 + place_in_list);
        assert!(restored.files["kept"] == noise(3, 50_000));
        assert!(!restored.files.keys().any(|name| name.starts_with("secret")));
    }
    assert!(!view.names().iter().any(|name| name.kind() == ObjectKind::Session));
    assert_sound(&view).await;
    // Nothing is left to do, and the next backup finds what the purge took out and nothing else.
    let again = purge(&view, below(&place, "secret"), false).await.unwrap();
    assert!(again.snapshots.is_empty());
    let next = view.back_up("local").await.unwrap();
    assert_eq!((next.progress.added_files, next.progress.opened_files), (2, 2));
    let restored = view.restore(next.snapshot.unwrap()).await;
    assert!(restored.files["secret/two"] == noise(4, 40_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_would_empty_one_version_changes_none() {
    let place = Place::new().await;
    let view = place.view();
    place.write("secret/one", &noise(1, 30_000));
    view.back_up("local").await.unwrap();
    place.write("kept", &noise(3, 50_000));
    view.back_up("local").await.unwrap();
    let inventory = view.store.inventory();
    let refused = purge(&view, below(&place, "secret"), false).await;
    assert!(
        matches!(refused, Err(PurgeError::WouldRemoveEntireFileset { .. })),
        "{refused:?}"
    );
    assert_eq!(view.store.inventory(), inventory);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_listed_and_taken_out_and_everything_else_stays() {
    let place = history().await;
    let view = place.view();
    let repository = view.open().await.unwrap();
    assert_eq!(broken(&view).await.file_count, 0);
    assert!(
        purge(&view, PurgeWhat::Broken, false)
            .await
            .unwrap()
            .snapshots
            .is_empty()
    );
    // The second backup's data pack goes: it holds the new `secret/two` and `later`.
    let snapshots = repository.list_snapshots().await.unwrap().snapshots;
    let mut packs: Vec<(PackId, PackClass, usize)> = Vec::new();
    repository
        .load_index(None, |_, pack| {
            packs.push((pack.id, pack.footer.class, pack.footer.frames.len()))
        })
        .await
        .unwrap();
    let mut lost = None;
    for (id, _, _) in packs.iter().filter(|(_, class, _)| *class == PackClass::Data) {
        let report = run_affected(
            Arc::clone(&repository),
            None,
            HashSet::from([*id]),
            true,
            RunControl::new(),
        )
        .await
        .unwrap();
        if report.snapshots == [snapshots[1].0] {
            assert_eq!(report.file_count, 2, "{:?}", report.files);
            lost = Some(*id);
        } else {
            assert_eq!(report.snapshots, [snapshots[0].0, snapshots[1].0]);
        }
    }
    view.store.damage(&ObjectName::from(lost.unwrap()), |_| None);
    let listed = broken(&view).await;
    assert_eq!(listed.snapshots, [(snapshots[1].0, 2)]);
    let mut names: Vec<String> = listed
        .files
        .iter()
        .map(|file| String::from_utf8_lossy(&file.path.0).into_owned())
        .collect();
    names.sort();
    assert!(
        names[0].ends_with("/later") && names[1].ends_with("/secret/two"),
        "{names:?}"
    );

    let report = purge(&view, PurgeWhat::Broken, false).await.unwrap();
    assert_eq!(report.snapshots.len(), 1);
    assert_eq!(report.snapshots[0].removed.files, 2);
    assert_eq!(broken(&view).await.file_count, 0);
    let restored = view.restore(report.snapshots[0].new.unwrap()).await;
    assert_eq!(restored.complaints, []);
    assert_eq!(restored.files.len(), 702);
    assert!(restored.files["secret/one"] == noise(1, 30_000));
    let first = view.restore(snapshots[0].0).await;
    assert!(first.complaints.is_empty() && first.files["secret/two"] == noise(2, 30_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_lost_with_its_pack_is_no_reason_to_lose_another_pack() {
    let place = history().await;
    let view = place.view();
    let repository = view.open().await.unwrap();
    let whole = view.restore(newest(&view).await).await;
    // All segments gone, and one pack: everything else is described again.
    let mut data = Vec::new();
    repository
        .load_index(None, |_, pack| {
            if pack.footer.class == PackClass::Data {
                data.push(pack.id);
            }
        })
        .await
        .unwrap();
    for name in view.names() {
        if name.kind() == ObjectKind::IndexSegment {
            view.store.damage(&name, |_| None);
        }
    }
    let report = view.repair("other", false).await.unwrap();
    let packs = view
        .names()
        .iter()
        .filter(|name| name.kind() == ObjectKind::Pack)
        .count();
    assert_eq!(report.described_packs.len(), packs);
    assert!(report.remaining.is_clean(), "{:?}", report.remaining.findings);
    assert!(view.restore(newest(&view).await).await.files == whole.files);

    view.store.damage(&ObjectName::from(data[0]), |_| None);
    let report = view.repair("other", false).await.unwrap();
    assert_eq!(report.missing_packs, [data[0]]);
    assert!(report.remaining.lost_file_count > 0);
    let next = view.back_up("other").await.unwrap();
    assert!(view.restore(next.snapshot.unwrap()).await.files == whole.files);
    assert_sound_but_for_old(&view, next.snapshot.unwrap()).await;
}

async fn newest(view: &View<'_>) -> duplicati_engine::id::SnapshotId {
    let repository = view.open().await.unwrap();
    repository
        .list_snapshots()
        .await
        .unwrap()
        .snapshots
        .last()
        .unwrap()
        .0
}

async fn assert_sound_but_for_old(view: &View<'_>, id: duplicati_engine::id::SnapshotId) {
    let options = BrokenOptions {
        snapshots: vec![id],
        full: true,
    };
    let report = run_list_broken(view.open().await.unwrap(), None, options, RunControl::new())
        .await
        .unwrap();
    assert_eq!(report.file_count, 0, "{:?}", report.files);
}
