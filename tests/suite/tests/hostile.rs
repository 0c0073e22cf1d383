// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Repositories that say nonsense inside intact seals: every command refuses or reports, none panics, hangs, or writes
//! outside the restore folder.
//!
//! `DUPLICATI_HOSTILE_CASES=5000` tries more.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Once,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use duplicati_actors::{
    control::RunControl,
    events::Monitor,
    repair::{RepairOptions, run_repair},
    restore::{RestoreRequest, restore},
    verify::{CheckOptions, VerifyOptions, run_check, run_verify},
};
use duplicati_engine::{
    compaction::pack_writer::{PackWriter, encode_index_segment},
    compression::{compress_object, decompress_object, store_raw},
    crypto::secret::random_id,
    format::{
        chunk_list::ChunkList,
        manifest::{Manifest, encode_json},
        pack::PackClass,
    },
    id::{SegmentId, SnapshotId},
    index::ChunkIndex,
    repository::Repository,
    restore::RestoreOptions,
    storage::{ObjectKind, ObjectName, Store, memory::MemoryStore},
};
use duplicati_parsers::{find, mutate::input};
use duplicati_testkit::{ManualClock, TestFolder};
use maintenance::{Workplace, copy, create};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Far above what any of these small runs takes; only a hang reaches it.
const HANG: Duration = Duration::from_secs(120);
/// Largest content of an object here, bytes.
const CONTENT_MAX: u64 = 16 << 20;

static PANICS: AtomicU64 = AtomicU64::new(0);

fn cases(usual: u64) -> u64 {
    let asked = std::env::var("DUPLICATI_HOSTILE_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Counts panics of all threads: a run turns those of its workers into errors.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }));
    });
}

/// Runs everything that reads a repository; what comes out may be an error.
async fn run_everything(store: &Arc<MemoryStore>, folder: &Path) {
    let open = || async { Repository::open(Arc::clone(store) as Arc<dyn Store>, None).await };
    let Ok(repository) = open().await.map(Arc::new) else {
        return;
    };
    let parts = || {
        (
            Arc::new(ManualClock::default()),
            Monitor::silent(),
            RunControl::new(),
        )
    };
    let (clock, monitor, control) = parts();
    let options = CheckOptions { full: true };
    let _ = run_check(Arc::clone(&repository), None, options, clock, monitor, control).await;
    let (clock, monitor, control) = parts();
    let options = VerifyOptions {
        samples: None,
        full: true,
    };
    let _ = run_verify(Arc::clone(&repository), None, options, clock, monitor, control).await;
    let mut index = ChunkIndex::new();
    if repository
        .load_index(None, |_, pack| index.add(&pack))
        .await
        .is_ok()
    {
        let index = Arc::new(index);
        let snapshots = repository.list_snapshots().await.map(|listing| listing.snapshots);
        for (number, (_, manifest)) in snapshots.unwrap_or_default().iter().enumerate() {
            let options = RestoreOptions {
                target: Some(folder.join("inside").join(number.to_string())),
                restore_permissions: true,
                restore_symlink_metadata: true,
                // What a made-up size may take on the disk of a test.
                size_limit: Some(64 << 20),
                ..RestoreOptions::default()
            };
            let request = RestoreRequest::new(Arc::clone(&repository), Arc::clone(&index), manifest, options);
            let _ = restore(request, Monitor::silent(), RunControl::new()).await;
        }
    }
    let (clock, monitor, control) = parts();
    let _ = run_repair(
        repository,
        None,
        RepairOptions::default(),
        clock,
        monitor,
        control,
    )
    .await;
}

#[track_caller]
fn assert_well(folder: &Path, seed: u64, before: u64) {
    assert_eq!(
        PANICS.load(Ordering::SeqCst),
        before,
        "seed {seed} makes something panic"
    );
    let names: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|name| name == "inside"),
        "seed {seed} writes outside: {names:?}"
    );
}

/// Changes one object below its compression, so that nonsense gets past the checksums.
async fn falsify(store: &MemoryStore, random: &mut StdRng) {
    let objects: Vec<_> = store
        .inventory()
        .into_iter()
        .filter(|info| info.name.kind() != ObjectKind::Config)
        .collect();
    let name = objects[random.random_range(0..objects.len())].name;
    let stored = store.get(&name, None).await.unwrap();
    // Packs are frames and a footer, which no stream opens in one piece: they are changed as they lie.
    let content = match name.kind() {
        ObjectKind::Pack => Err(()),
        _ => decompress_object(&stored, CONTENT_MAX).map_err(drop),
    };
    let changed = match content {
        Ok(content) => compress_object(&input(&[content], random)).unwrap(),
        Err(()) => input(&[stored.to_vec()], random),
    };
    store.damage(&name, |_| Some(changed.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_any_object_is_refused_or_reported() {
    count_panics();
    let place = Workplace::new();
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
    for name in ["sub/text", "sub/noise"] {
        place.write(name, &maintenance::noise(name.len() as u8, 60_000));
    }
    place.back_up(&repository, "a").await.unwrap();
    for seed in 0..cases(120) {
        let mut random = StdRng::seed_from_u64(seed);
        let hostile = copy(&store).await;
        for _ in 0..random.random_range(1..3) {
            falsify(&hostile, &mut random).await;
        }
        let folder = TestFolder::new().unwrap();
        let before = PANICS.load(Ordering::SeqCst);
        let run = tokio::time::timeout(HANG, run_everything(&hostile, folder.path())).await;
        assert!(run.is_ok(), "seed {seed} hangs");
        assert_well(folder.path(), seed, before);
    }
}

/// Stores a tree with these chunks under their right names, and a manifest that names it.
async fn store_tree(repository: &Repository, like: &Manifest, chunks: &[Vec<u8>]) {
    let mut pack = PackWriter::new(repository, PackClass::Tree).unwrap();
    let mut ids = Vec::new();
    for content in chunks {
        let (mut stored, id) = (Vec::new(), repository.hasher.id(PackClass::Tree, content));
        store_raw(content, &mut stored);
        pack.push(&stored, content.len() as u32, vec![(id, content.len() as u32)])
            .unwrap();
        ids.push(id);
    }
    let pack = pack.finish(repository).unwrap();
    let mut description = Vec::new();
    pack.description.encode(&mut description);
    let (segment, _) = encode_index_segment(repository, &[description]).unwrap();
    let store = &repository.store;
    store.put(&pack.description.id.into(), pack.object).await.unwrap();
    let segment_name = ObjectName::from(SegmentId(random_id().unwrap()));
    store.put(&segment_name, segment).await.unwrap();
    let manifest = Manifest {
        root: ChunkList::direct(ids).into(),
        sources: Vec::new(),
        ..like.clone()
    };
    let name = ObjectName::from(SnapshotId(random_id().unwrap()));
    repository
        .put_object(&name, &repository.data, &encode_json(&manifest))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_of_nonsense_are_restored_as_far_as_they_make_sense() {
    count_panics();
    let samples = (find("tree").unwrap().samples)();
    let place = Workplace::new();
    let repository = create(Arc::new(MemoryStore::new()) as Arc<dyn Store>, None).await;
    place.back_up(&repository, "a").await.unwrap();
    let manifest = repository.list_snapshots().await.unwrap().snapshots.remove(0).1;
    for seed in 0..cases(150) {
        let mut random = StdRng::seed_from_u64(seed);
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, None).await;
        let chunks: Vec<_> = (0..random.random_range(1..3))
            .map(|_| input(&samples, &mut random))
            .filter(|content| !content.is_empty())
            .collect();
        let manifest = Manifest {
            repository_id: repository.config.repository_id,
            ..manifest.clone()
        };
        store_tree(&repository, &manifest, &chunks).await;
        let folder = TestFolder::new().unwrap();
        let before = PANICS.load(Ordering::SeqCst);
        let run = tokio::time::timeout(HANG, run_everything(&store, folder.path())).await;
        assert!(run.is_ok(), "seed {seed} hangs");
        assert_well(folder.path(), seed, before);
    }
}
