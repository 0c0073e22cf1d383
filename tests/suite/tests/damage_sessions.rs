// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sessions and plans × every kind of damage: they hold no data, so none is lost; what they stop is named, and there is a way on.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod damage_support;

use std::sync::Arc;

use damage_support::{DAMAGES, Damage, Place, View, copy, harm_one_of, noise};
use duplicati_engine::{
    format::{manifest::encode_json, session::Session},
    id::PackId,
    storage::{ObjectKind, ObjectName},
};

/// Two snapshots; returns what they must restore to.
async fn history() -> (
    Place,
    Vec<(duplicati_engine::id::SnapshotId, damage_support::Contents)>,
) {
    let place = Place::new().await;
    let mut snapshots = Vec::new();
    let mut contents = damage_support::Contents::new();
    for round in 0..2 {
        let content = noise(round, 50_000);
        place.write("changing", &content);
        contents.insert("changing".to_owned(), content);
        let report = place.view().back_up("local").await.unwrap();
        snapshots.push((report.snapshot.unwrap(), contents.clone()));
    }
    (place, snapshots)
}

async fn assert_whole(
    view: &View<'_>,
    snapshots: &[(duplicati_engine::id::SnapshotId, damage_support::Contents)],
    what: &str,
) {
    for (id, contents) in snapshots {
        let restored = view.restore(*id).await;
        assert!(restored.files == *contents, "{what}: {:?}", restored.complaints);
    }
}

async fn put_session(view: &View<'_>, number: u8) -> ObjectName {
    let repository = view.open().await.unwrap();
    let session = Session {
        version: 1,
        repository_id: repository.config.repository_id,
        started: "2020-01-01T00:00:00.000000000Z".to_owned(),
        host: format!("host {number}"),
        program: "test".to_owned(),
        machine: format!("machine {number}"),
    };
    let name = ObjectName::of(ObjectKind::Session, [number; 16]);
    repository
        .put_object(&name, &repository.index, &encode_json(&session))
        .await
        .unwrap();
    name
}

async fn put_plan(view: &View<'_>, number: u8) -> ObjectName {
    view.put_plan(number, vec![PackId([number; 16])]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_session_costs_nothing_and_stops_nobody() {
    let (place, snapshots) = history().await;
    let base = place.with_store(copy(&place.store).await);
    let sessions = [put_session(&base, 1).await, put_session(&base, 2).await];
    for (number, damage) in DAMAGES.into_iter().enumerate() {
        let what = format!("session, {damage:?}");
        let view = place.with_store(copy(&base.store).await);
        harm_one_of(&view.store, sessions, damage).await;
        let database = format!("session-{number}");
        assert_whole(&view, &snapshots, &what).await;
        assert!(view.verify(&database).await.is_clean(), "{what}");
        view.repair(&database, false).await.unwrap();
        place.write("newest", what.as_bytes());
        view.back_up(&database).await.unwrap();
        // Something goes, so that there is a plan, and sessions have to end for it.
        view.store.damage(&ObjectName::from(snapshots[0].0), |_| None);
        let report = view.compact(&database).await.unwrap();
        assert!(report.is_finished(), "{what}: {report:?}");
        assert!(report.fenced_sessions > 0, "{what}: {report:?}");
        assert_whole(&view, &snapshots[1..], &what).await;
        assert!(view.verify(&database).await.is_clean(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_plan_is_found_and_stops_writers_until_it_is_repaired() {
    let (place, snapshots) = history().await;
    let base = place.with_store(copy(&place.store).await);
    let plans = [put_plan(&base, 1).await, put_plan(&base, 2).await];
    for (number, damage) in DAMAGES.into_iter().enumerate() {
        let what = format!("plan, {damage:?}");
        let view = place.with_store(copy(&base.store).await);
        harm_one_of(&view.store, plans, damage).await;
        let database = format!("plan-{number}");
        assert_whole(&view, &snapshots, &what).await;
        let is_harmless = matches!(damage, Damage::Missing | Damage::Swapped);
        let report = view.verify(&database).await;
        assert_eq!(report.is_clean(), is_harmless, "{what}: {:?}", report.findings);
        place.write("newest", what.as_bytes());
        if !is_harmless {
            let name = plans[1].to_string();
            assert!(
                report.findings.iter().any(|finding| finding.object == name),
                "{what}"
            );
            for refused in [
                view.back_up(&database).await.map(drop),
                view.compact(&database).await.map(drop),
            ] {
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains("repair"), "{what}: {refused}");
            }
            assert_eq!(
                view.repair(&database, false).await.unwrap().removed_plans,
                1,
                "{what}"
            );
        }
        view.back_up(&database).await.unwrap();
        assert!(view.compact(&database).await.unwrap().is_finished(), "{what}");
        assert_whole(&view, &snapshots, &what).await;
        assert!(view.verify(&database).await.is_clean(), "{what}");
        let left = view.names();
        assert!(!left.iter().any(|name| name.kind() == ObjectKind::Plan), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leftover_plan_names_and_no_segment_describes_is_copied_out_when_it_is_needed() {
    let (place, snapshots) = history().await;
    let view = place.with_store(copy(&place.store).await);
    let of_kind = |kind| view.names().into_iter().filter(move |name| name.kind() == kind);
    let packs = of_kind(ObjectKind::Pack).map(|name| PackId(name.id())).collect();
    view.put_plan(1, packs).await;
    for segment in of_kind(ObjectKind::IndexSegment) {
        view.store.damage(&segment, |_| None);
    }
    let report = view.repair("another", false).await.unwrap();
    assert!(report.remaining.is_clean(), "{:?}", report.remaining.findings);
    assert!(report.salvaged_chunks > 0);
    assert_whole(&view, &snapshots, "after the repair").await;
    assert!(view.compact("another").await.unwrap().is_finished());
    assert_whole(&view, &snapshots, "after the plan was carried out").await;
    assert!(view.verify("another").await.is_clean());
}

/// Objects of another repository without encryption open as well as one's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_another_repository_is_no_version_of_this_one() {
    let mut places = Vec::new();
    for _ in 0..2 {
        let place = Place::without_encryption().await;
        place.write("one", b"content");
        let id = place.view().back_up("local").await.unwrap().snapshot.unwrap();
        places.push((place, id));
    }
    let [(place, id), (other, foreign)] = &places[..] else {
        unreachable!()
    };
    let manifest =
        duplicati_engine::storage::Store::get(other.store.as_ref(), &ObjectName::from(*foreign), None)
            .await
            .unwrap();
    place
        .store
        .damage(&ObjectName::from(*foreign), |_| Some(manifest));
    let view = place.with_store(Arc::clone(&place.store));
    let listing = view.open().await.unwrap().list_snapshots().await.unwrap();
    assert_eq!(listing.snapshots.len(), 1);
    assert_eq!(listing.snapshots[0].0, *id);
    assert_eq!(listing.unreadable.len(), 1);
    assert!(!view.verify("testing").await.is_clean());
    view.give_up(vec![*foreign], false).await.unwrap();
    assert!(view.verify("testing").await.is_clean());
}
