// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The checks that every store must pass: the promises written on the port, `engine/src/storage/mod.rs`.
//!
//! What cannot be checked on a kind of store is printed as skipped.

use std::{
    collections::BTreeSet,
    future::Future,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use duplicati_engine::storage::{ObjectKind, ObjectName, Store, StoreErrorKind};
use duplicati_testkit::{Fault, FaultyStore, OperationKind, When};

const CONCURRENT_WRITERS: usize = 8;
const CONCURRENT_ROUNDS: u8 = 25;

/// An empty target under test.
pub struct Target {
    pub store: Arc<dyn Store>,
    /// The same target opened once more, as another process would.
    pub again: Arc<dyn Store>,
    /// Where files can be placed behind the store's back.
    pub folder: Option<PathBuf>,
    pub _guard: Option<tempfile::TempDir>,
    /// Objects for the check of a long listing: as many as the kind of target takes in bearable time.
    pub many_objects: u32,
}

fn name(kind: ObjectKind, number: u32) -> ObjectName {
    let mut id = [0x5a; 16];
    // Spread over the first byte, which chooses the folder of a pack.
    id[..4].copy_from_slice(&number.to_le_bytes());
    ObjectName::of(kind, id)
}

fn content(seed: usize, length: usize) -> Bytes {
    (0..length)
        .map(|place| (place * 31 + seed * 7 + place / 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

/// Runs every check, each on a target of its own.
pub async fn keeps_all_promises<F: Future<Output = Target>>(kind: &str, make: impl Fn() -> F) {
    objects_come_back_whole(make().await).await;
    ranges_are_exact_and_end_at_the_object(make().await).await;
    put_never_replaces(make().await).await;
    exactly_one_of_concurrent_puts_wins(kind, make().await).await;
    readers_never_see_a_part(make().await).await;
    absent_and_empty_objects(make().await).await;
    listing_shows_every_object_once(make().await).await;
    temporaries_are_hidden_and_foreign_names_shown(kind, make().await).await;
    crash_leaves_no_visible_object(make().await).await;
    prepare_is_repeatable(make().await).await;
}

async fn objects_come_back_whole(target: Target) {
    for kind in ObjectKind::ALL {
        for (number, length) in [1, 4_096, 1_000_003].into_iter().enumerate() {
            let name = name(kind, number as u32);
            if kind == ObjectKind::Config && number > 0 {
                continue;
            }
            let content = content(number, length);
            target.store.put(&name, content.clone()).await.unwrap();
            assert_eq!(target.again.get(&name, None).await.unwrap(), content, "{name}");
        }
    }
}

async fn ranges_are_exact_and_end_at_the_object(target: Target) {
    let (name, content) = (name(ObjectKind::Pack, 1), content(1, 10_000));
    target.store.put(&name, content.clone()).await.unwrap();
    for range in [0..10_000, 0..1, 9_999..10_000, 4_095..4_097, 0..0, 10_000..10_000] {
        let part = target.store.get(&name, Some(range.clone())).await.unwrap();
        assert_eq!(
            part,
            content[range.start as usize..range.end as usize],
            "{range:?}"
        );
    }
    #[allow(clippy::reversed_empty_ranges, reason = "a damaged index may ask for it")]
    for range in [
        0..10_001,
        10_000..10_001,
        10_001..10_001,
        20_000..30_000,
        0..u64::MAX,
        5..4,
    ] {
        let error = target.store.get(&name, Some(range.clone())).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Truncated, "{range:?}");
    }
}

async fn put_never_replaces(target: Target) {
    for kind in ObjectKind::ALL {
        let name = name(kind, 1);
        target.store.put(&name, content(1, 100)).await.unwrap();
        for store in [&target.store, &target.again] {
            let error = store.put(&name, content(2, 200)).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::AlreadyExists, "{error}");
            assert!(!error.is_retry_sensible());
        }
        assert_eq!(target.again.get(&name, None).await.unwrap(), content(1, 100));
    }
}

async fn exactly_one_of_concurrent_puts_wins(kind: &str, target: Target) {
    if !target.store.capability().put_if_absent {
        println!("{kind}: skipped concurrent puts: the store does not claim them");
        return;
    }
    for round in 0..CONCURRENT_ROUNDS {
        let name = name(ObjectKind::Snapshot, u32::from(round));
        let barrier = Arc::new(tokio::sync::Barrier::new(CONCURRENT_WRITERS));
        let writers: Vec<_> = (0..CONCURRENT_WRITERS)
            .map(|writer| {
                let store = if writer % 2 == 0 {
                    target.store.clone()
                } else {
                    target.again.clone()
                };
                let barrier = barrier.clone();
                tokio::spawn(async move {
                    barrier.wait().await;
                    store.put(&name, content(writer, 5_000 + writer)).await
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (writer, task) in writers.into_iter().enumerate() {
            match task.await.unwrap() {
                Ok(()) => winners.push(writer),
                Err(error) => assert_eq!(error.kind, StoreErrorKind::AlreadyExists, "{error}"),
            }
        }
        let [winner] = winners[..] else {
            panic!("winners of round {round}: {winners:?}")
        };
        assert_eq!(
            target.again.get(&name, None).await.unwrap(),
            content(winner, 5_000 + winner)
        );
    }
}

async fn readers_never_see_a_part(target: Target) {
    let whole = content(3, 4_000_000);
    for number in 0..5 {
        let name = name(ObjectKind::Pack, number);
        let store = target.store.clone();
        let written = whole.clone();
        let writer = tokio::spawn(async move { store.put(&name, written).await });
        loop {
            // Asked before reading, so that the last look comes after the end of the put.
            let is_finished = writer.is_finished();
            let listed = target.again.list(ObjectKind::Pack).await.unwrap();
            for object in listed.objects {
                assert_eq!(object.size_bytes, whole.len() as u64);
            }
            match target.again.get(&name, None).await {
                Ok(content) => assert!(content == whole, "{} bytes seen", content.len()),
                Err(error) => assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}"),
            }
            if is_finished {
                break;
            }
            tokio::task::yield_now().await;
        }
        writer.await.unwrap().unwrap();
    }
}

async fn absent_and_empty_objects(target: Target) {
    for kind in ObjectKind::ALL {
        let name = name(kind, 1);
        let error = target.store.get(&name, None).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
        let error = target.store.get(&name, Some(0..1)).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
        target.store.delete(&name).await.unwrap();
        let error = target.store.put(&name, Bytes::new()).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{error}");
        assert!(target.store.list(kind).await.unwrap().objects.is_empty());
        // A deleted name is free again.
        target.store.put(&name, content(1, 10)).await.unwrap();
        target.store.delete(&name).await.unwrap();
        target.store.delete(&name).await.unwrap();
        assert!(target.again.list(kind).await.unwrap().objects.is_empty());
        target.store.put(&name, content(2, 20)).await.unwrap();
        assert_eq!(target.again.get(&name, None).await.unwrap(), content(2, 20));
    }
}

async fn listing_shows_every_object_once(target: Target) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..target.many_objects {
        while tasks.len() >= target.store.capability().concurrent_requests_max {
            tasks.join_next().await.unwrap().unwrap();
        }
        let store = target.store.clone();
        tasks.spawn(async move {
            let length = 1 + number as usize;
            store
                .put(&name(ObjectKind::Pack, number), content(0, length))
                .await
                .unwrap();
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    for kind in ObjectKind::ALL {
        if kind != ObjectKind::Pack {
            target.store.put(&name(kind, 7), content(0, 7)).await.unwrap();
        }
    }
    let listing = target.again.list(ObjectKind::Pack).await.unwrap();
    assert_eq!(listing.objects.len(), target.many_objects as usize);
    let listed: BTreeSet<_> = listing
        .objects
        .iter()
        .map(|object| (object.name, object.size_bytes))
        .collect();
    let expected: BTreeSet<_> = (0..target.many_objects)
        .map(|number| (name(ObjectKind::Pack, number), u64::from(number) + 1))
        .collect();
    assert_eq!(listed, expected);
    assert!(listing.foreign.is_empty(), "{:?}", listing.foreign);
    for kind in ObjectKind::ALL {
        if kind != ObjectKind::Pack {
            let listing = target.again.list(kind).await.unwrap();
            assert_eq!(listing.objects.len(), 1, "{kind:?}");
            assert_eq!(listing.objects[0].name, name(kind, 7));
            assert!(listing.foreign.is_empty(), "{kind:?}: {:?}", listing.foreign);
        }
    }
    assert!(target.store.list_foreign_root().await.unwrap().is_empty());
}

fn place(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    let parent = path.parent().unwrap();
    std::fs::create_dir_all(parent).unwrap();
    // A server may run as another user and must still be able to write beside what was placed.
    let _not_ours = std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o777));
    std::fs::write(path, content).unwrap();
}

async fn temporaries_are_hidden_and_foreign_names_shown(kind: &str, target: Target) {
    let Some(folder) = &target.folder else {
        println!(
            "{kind}: skipped temporary and foreign names: nothing can be placed behind the store's back"
        );
        return;
    };
    for kind in ObjectKind::ALL {
        let name = name(kind, 1);
        let temporary = format!("{name}.tmp-0123456789abcdef");
        let parent = temporary.rsplit_once('/').map_or("", |(parent, _)| parent);
        let foreign = format!("{parent}/notes.txt").trim_start_matches('/').to_owned();
        place(folder, &temporary, b"placed");
        assert!(
            target.store.list(kind).await.unwrap().foreign.is_empty(),
            "{temporary}"
        );
        place(folder, &foreign, b"placed");
        let listing = target.store.list(kind).await.unwrap();
        assert!(listing.objects.is_empty(), "{:?}", listing.objects);
        assert_eq!(listing.foreign, [foreign]);
    }
    assert_eq!(target.store.list_foreign_root().await.unwrap(), ["notes.txt"]);
}

async fn crash_leaves_no_visible_object(target: Target) {
    let folder = target.folder.clone();
    let store = FaultyStore::new(target.store.clone())
        .with(
            When::every(|operation| operation.kind == OperationKind::Put).after(1),
            Fault::CrashBefore,
        )
        .on_cut_off(move |name, content| {
            if let Some(folder) = &folder {
                place(
                    folder,
                    &format!("{name}.tmp-00000000000000aa"),
                    &content[..content.len() / 2],
                );
            }
        });
    let (first, second) = (name(ObjectKind::Pack, 1), name(ObjectKind::Pack, 2));
    store.put(&first, content(1, 1_000)).await.unwrap();
    store.put(&second, content(2, 1_000)).await.unwrap_err();
    let listing = target.again.list(ObjectKind::Pack).await.unwrap();
    assert_eq!(listing.objects.len(), 1);
    assert_eq!(listing.objects[0].name, first);
    assert!(listing.foreign.is_empty(), "{:?}", listing.foreign);
    // The next run is not hindered by what was left.
    target.again.put(&second, content(2, 1_000)).await.unwrap();
    assert_eq!(target.again.get(&second, None).await.unwrap(), content(2, 1_000));
}

async fn prepare_is_repeatable(target: Target) {
    let name = name(ObjectKind::Key, 1);
    target.store.put(&name, content(1, 10)).await.unwrap();
    target.store.prepare(true).await.unwrap();
    target.again.prepare(false).await.unwrap();
    assert_eq!(target.store.get(&name, None).await.unwrap(), content(1, 10));
}
