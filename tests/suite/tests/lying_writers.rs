// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Somebody who may write to the target, or a faulty program, says what is not true. Nothing that a version needs is deleted on such a word.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::sync::Arc;

use duplicati_engine::{
    compaction::encode_index_segment,
    crypto::secret::random_id,
    format::index_segment::PackDescription,
    id::{ChunkId, PackId, SegmentId, SnapshotId},
    repository::{IndexSource, Repository},
    storage::{ObjectKind, ObjectName, Store, memory::MemoryStore},
};
use maintenance::*;

/// What the index says of each pack, and in which segment.
async fn described(repository: &Repository) -> Vec<(SegmentId, PackDescription)> {
    let mut described = Vec::new();
    repository
        .load_index(None, |source, pack| {
            if let IndexSource::Segment(id) = source {
                described.push((id, pack));
            }
        })
        .await
        .unwrap();
    described
}

/// The same pack with ids that nobody needs.
fn falsified(pack: &PackDescription) -> Vec<u8> {
    let mut false_one = pack.clone();
    for (number, (id, _)) in false_one
        .footer
        .frames
        .iter_mut()
        .flat_map(|frame| &mut frame.chunks)
        .enumerate()
    {
        *id = ChunkId([number as u8; 32]);
    }
    let mut encoded = Vec::new();
    false_one.encode(&mut encoded);
    encoded
}

async fn plant(repository: &Repository, packs: &[Vec<u8>]) {
    let (object, _) = encode_index_segment(repository, packs).unwrap();
    let id = SegmentId(random_id().unwrap());
    repository.store.put(&ObjectName::from(id), object).await.unwrap();
}

/// Condemns everything that is not needed at all, however little it is.
fn eager() -> duplicati_actors::compact::CompactOptions {
    let mut options = compact_options();
    options.thresholds.waste_percent = 0;
    options
}

fn packs(store: &MemoryStore) -> Vec<PackId> {
    store
        .inventory()
        .iter()
        .filter(|info| info.name.kind() == ObjectKind::Pack)
        .map(|info| PackId(info.name.id()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_two_segments_describe_differently_stay_until_repair_has_looked() {
    for round in 0..4 {
        let place = Workplace::new();
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        let ids = place.history(&repository, "a").await;
        let whole = contents(&repository).await;
        let lies: Vec<_> = described(&repository)
            .await
            .iter()
            .map(|(_, pack)| falsified(pack))
            .collect();
        plant(&repository, &lies).await;
        delete(&repository, &ids[..1]).await;
        let refused = compact(&repository, None, eager()).await.unwrap_err().to_string();
        assert!(
            refused.contains("differently") && refused.contains("repair"),
            "{round}: {refused}"
        );
        repair(&repository, None).await.unwrap();
        compact(&repository, None, eager()).await.unwrap();
        let after = contents(&repository).await;
        assert_eq!(after.len(), 2, "{round}");
        for (id, files) in after {
            assert_eq!(files, whole[&id], "{round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_with_what_a_version_lacks_stays_although_the_only_description_of_it_is_false() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    place.history(&repository, "a").await;
    let whole = contents(&repository).await;
    let before = packs(&store);
    let known = described(&repository).await;
    // Trees must stay readable, or compaction refuses at once.
    let mut all = Vec::new();
    for (_, pack) in &known {
        let is_tree = pack.footer.class == duplicati_engine::format::pack::PackClass::Tree;
        let mut encoded = Vec::new();
        pack.encode(&mut encoded);
        all.push(if is_tree { encoded } else { falsified(pack) });
    }
    plant(&repository, &all).await;
    for (segment, _) in &known {
        store.delete(&ObjectName::from(*segment)).await.unwrap();
    }
    let report = compact(&repository, None, eager()).await.unwrap();
    assert!(!report.damaged.is_empty(), "{report:?}");
    let after = packs(&store);
    assert!(before.iter().all(|pack| after.contains(pack)));
    // With descriptions as they are, everything is there.
    for (segment, _) in described(&repository).await {
        let _gone_twice = store.delete(&ObjectName::from(segment)).await;
    }
    repair(&repository, None).await.unwrap();
    assert_eq!(contents(&repository).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_manifest_under_another_name_is_no_version() {
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
    let ids = place.history(&repository, "a").await;
    let newest = store.get(&ObjectName::from(ids[2]), None).await.unwrap();
    let copy = SnapshotId([7; 16]);
    store.put(&ObjectName::from(copy), newest.clone()).await.unwrap();
    let listing = repository.list_snapshots().await.unwrap();
    assert_eq!(listing.snapshots.len(), 3);
    let (id, error) = &listing.unreadable[0];
    assert!(*id == copy && error.to_string().contains("copy of"), "{error}");
    let refused = compact(&repository, None, eager()).await.unwrap_err();
    assert!(refused.to_string().contains("copy of"), "{refused}");
    // Instead of an older version.
    store.delete(&ObjectName::from(copy)).await.unwrap();
    store.delete(&ObjectName::from(ids[0])).await.unwrap();
    store.put(&ObjectName::from(ids[0]), newest).await.unwrap();
    let report = verify_all(&repository, None).await;
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.text.contains("copy of")),
        "{:?}",
        report.findings
    );
}
