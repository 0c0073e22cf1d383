// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A machine whose key adds and does not read: it skips what has not changed, goes on where it was cut off, and holds nothing that a thief could use.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::{collections::BTreeMap, os::unix::fs::FileExt, path::Path, sync::Arc};

use duplicati_actors::{backup::BackupReport, error::RunError};
use duplicati_engine::{
    compression,
    crypto::{
        Envelope,
        key_file::{self, KeyHolder, Unlock},
        secret::random_id,
    },
    format::{chunk_list::ChunkList, tree::TreeEntry},
    id::{KeyId, SnapshotId},
    repository::Repository,
    snapshot::{TreeReader, WalkStep},
    storage::{ObjectKind, ObjectName, Store, memory::MemoryStore},
};
use duplicati_testkit::{Fault, FaultyStore, OperationKind, When};
use maintenance::*;

/// Adds a write-only key that opens with this passphrase.
async fn add_write_only(repository: &Repository, passphrase: &str) {
    let key = repository.key.as_ref().unwrap();
    let key = key.write_only("laptop".to_owned(), String::new());
    let holder = KeyHolder::Passphrase(passphrase.to_owned().into());
    let object = key_file::seal(&key, &holder).unwrap();
    let name = ObjectName::from(KeyId(random_id().unwrap()));
    repository.store.put(&name, object.into()).await.unwrap();
}

/// A repository of an administrator with a full key, and a machine that may only add.
struct Scene {
    place: Workplace,
    store: Arc<MemoryStore>,
    admin: Arc<Repository>,
    client: Arc<Repository>,
    /// What the source held at each version.
    expected: BTreeMap<SnapshotId, Contents>,
}

impl Scene {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let admin = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        add_write_only(&admin, "client").await;
        let client = open(Arc::clone(&store) as Arc<dyn Store>, Some("client")).await;
        assert!(!client.data.can_open());
        Self {
            place: Workplace::new(),
            store,
            admin,
            client,
            expected: BTreeMap::new(),
        }
    }

    fn source(&self) -> std::path::PathBuf {
        self.place.folder.path().join("source")
    }

    async fn back_up(&mut self) -> BackupReport {
        let report = self.place.back_up(&self.client, "client").await.unwrap();
        self.expected
            .insert(report.snapshot.unwrap(), on_disk(&self.source()));
        report
    }

    /// All versions hold what the source held, byte for byte, and nothing is missing or damaged.
    async fn check(&self) {
        let restored = contents(&self.admin).await;
        assert_eq!(restored.len(), self.expected.len());
        for (id, files) in &self.expected {
            let found = &restored[id];
            assert_eq!(found.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
            for (path, content) in files {
                // What is compared is chunks, and they leave out holes; that these come back with the rest the roots of the trees show.
                if path.ends_with(b"/sparse") {
                    continue;
                }
                assert!(found[path] == *content, "{}", String::from_utf8_lossy(path));
            }
        }
        let report = verify_all(&self.admin, None).await;
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}

/// Path as in a version, and content.
fn on_disk(folder: &Path) -> Contents {
    let mut files = Contents::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files.extend(on_disk(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            let path = path.strip_prefix("/").unwrap().to_owned();
            files.insert(path.into_os_string().into_encoded_bytes(), Some(content));
        }
    }
    files
}

/// Bytes that this process has read, from files or otherwise.
fn read_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

fn large_noise(seed: u8, mebibytes: usize) -> Vec<u8> {
    (0..mebibytes)
        .flat_map(|part| noise(seed.wrapping_add(part as u8), 1 << 20))
        .collect()
}

/// All entries below a folder, whole, by version from the oldest.
async fn entries(repository: &Arc<Repository>, folder: &Path) -> Vec<BTreeMap<Vec<u8>, TreeEntry>> {
    let folder = folder.strip_prefix("/").unwrap().as_os_str().as_encoded_bytes();
    let reader = TreeReader::new(Arc::clone(repository), index(repository).await, 1 << 20);
    let mut all = Vec::new();
    for (_, manifest) in repository.list_snapshots().await.unwrap().snapshots {
        let mut entries = BTreeMap::new();
        let mut walk = reader.walk(&ChunkList::from(manifest.root));
        while let Some(step) = walk.next().await.unwrap() {
            if let WalkStep::Entry(entry) = step
                && walk.path().starts_with(folder)
            {
                entries.insert(walk.path().to_vec(), entry);
            }
        }
        all.push(entries);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_tree_is_not_read_again_and_what_changed_is() {
    let mut scene = Scene::new().await;
    let source = scene.source();
    // Lists inside of entries, list chunks, holes, two names of one file, nothing at all, and attributes where the file system has them.
    for number in 0..20u8 {
        scene
            .place
            .write(&format!("sub/{number}"), &noise(number, 20_000));
    }
    scene.place.write("large", &large_noise(100, 8));
    scene.place.write("empty", b"");
    let sparse = std::fs::File::create(source.join("sparse")).unwrap();
    sparse.write_all_at(&noise(60, 5000), 1 << 20).unwrap();
    sparse.set_len(3 << 20).unwrap();
    std::fs::hard_link(source.join("sub/3"), source.join("link")).unwrap();
    let _not_everywhere = rustix::fs::setxattr(
        source.join("sub/4"),
        "user.note",
        b"kept",
        rustix::fs::XattrFlags::empty(),
    );
    let first = scene.back_up().await;
    assert_eq!(first.progress.opened_files, 23);

    let before = read_bytes();
    let second = scene.back_up().await;
    let read = read_bytes() - before;
    // `on_disk` has read everything once, to compare with; the backup has not.
    let compared: usize = scene.expected[&second.snapshot.unwrap()]
        .values()
        .map(|content| content.as_ref().unwrap().len())
        .sum();
    assert!(
        read < compared as u64 + (2 << 20),
        "{read} bytes were read, of which {compared} by the test"
    );
    assert_eq!(second.progress.opened_files, 0);
    assert_eq!(second.progress.opened_bytes, 0);
    assert_eq!(second.progress.examined_files, 24);
    assert_eq!(second.progress.new_chunks, 0);

    scene.place.write("sub/7", &noise(200, 25_000));
    scene.place.write("new", &noise(201, 5_000));
    scene.place.remove("sub/8");
    std::fs::rename(source.join("sub/9"), source.join("sub/renamed")).unwrap();
    let third = scene.back_up().await;
    // The renamed one has another name and another ctime.
    assert_eq!(third.progress.opened_files, 3);
    assert_eq!(third.progress.opened_bytes, 25_000 + 5_000 + 20_000);
    let fourth = scene.back_up().await;
    assert_eq!(fourth.progress.opened_files, 0);
    scene.check().await;

    // The whole entry comes back, not only the content: as if each file had been read.
    let trees = entries(&scene.admin, &source).await;
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[2], trees[3]);
    assert_ne!(trees[1], trees[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_off_goes_on_without_reading_or_storing_anything_twice() {
    let mut scene = Scene::new().await;
    for number in 0..40u8 {
        scene
            .place
            .write(&format!("sub/{number:02}"), &noise(number, 100_000));
    }
    let when = When::every(|operation| {
        operation.kind == OperationKind::Put
            && operation
                .name
                .as_ref()
                .is_some_and(|name| name.kind() == ObjectKind::Pack)
    });
    let faulty = Arc::new(
        FaultyStore::new(Arc::clone(&scene.store) as Arc<dyn Store>)
            .with(when.after(3).times(1), Fault::Hang),
    );
    let client = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("client")).await;
    let place = Arc::new(std::mem::replace(&mut scene.place, Workplace::new()));
    let backup = tokio::spawn({
        let place = Arc::clone(&place);
        async move { place.back_up(&client, "client").await }
    });
    faulty.wait_until_hanging(1).await;
    // What was stored before is remembered by another thread.
    let local = place.local(&scene.client, "client");
    while local.stored_packs().unwrap().len() < 3 {
        tokio::task::yield_now().await;
    }
    faulty.crash();
    faulty.release();
    let error = backup.await.unwrap();
    assert!(matches!(error, Err(RunError::Repository(_))), "{:?}", error.err());
    drop(local);
    scene.place = Arc::into_inner(place).unwrap();
    let report = scene.back_up().await;
    assert!(
        report.progress.opened_files < 40 && report.progress.opened_files > 0,
        "{}",
        report.progress.opened_files
    );
    scene.check().await;
    let report = scene.back_up().await;
    assert_eq!(report.progress.opened_files, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_collected_meanwhile_is_read_and_stored_again() {
    let mut scene = Scene::new().await;
    scene.place.write("sub/a", &noise(1, 50_000));
    scene.place.write("large", &large_noise(100, 2));
    scene.back_up().await;
    let aside = Workplace::new();
    aside.write("other", b"something that stays");
    let stays = aside.back_up(&scene.admin, "admin").await.unwrap();
    let gone: Vec<_> = scene.expected.keys().copied().collect();
    delete(&scene.admin, &gone).await;
    scene.expected.clear();
    let mut options = compact_options();
    options.thresholds.waste_percent = 0;
    compact(&scene.admin, None, options).await.unwrap();
    let report = scene.back_up().await;
    assert_eq!(report.progress.opened_files, 2);
    delete(&scene.admin, &[stays.snapshot.unwrap()]).await;
    scene.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_only_run_that_was_fenced_and_collected_commits_under_a_new_name() {
    let mut scene = Scene::new().await;
    scene.place.write("sub/old", &noise(1, 50_000));
    scene.back_up().await;
    scene.place.write("sub/new", &noise(2, 150_000));
    let when = When::every(|operation| {
        operation.kind == OperationKind::Put
            && operation
                .name
                .as_ref()
                .is_some_and(|name| name.kind() == ObjectKind::Snapshot)
    });
    let faulty = Arc::new(
        FaultyStore::new(Arc::clone(&scene.store) as Arc<dyn Store>).with(when.times(1), Fault::Hang),
    );
    let client = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("client")).await;
    let place = Arc::new(std::mem::replace(&mut scene.place, Workplace::new()));
    let backup = tokio::spawn({
        let place = Arc::clone(&place);
        async move { place.back_up(&client, "client").await }
    });
    faulty.wait_until_hanging(1).await;
    let packs = count(&scene.store, ObjectKind::Pack);
    let mut options = compact_options();
    options.session_age_seconds_max = -1;
    options.thresholds.waste_percent = 0;
    let collected = compact(&scene.admin, None, options).await.unwrap();
    assert!(
        collected.is_finished() && collected.fenced_sessions == 1,
        "{collected:?}"
    );
    assert!(count(&scene.store, ObjectKind::Pack) < packs);
    faulty.release();
    let report = backup.await.unwrap().unwrap();
    scene.place = Arc::into_inner(place).unwrap();
    let source = on_disk(&scene.source());
    scene.expected.insert(report.snapshot.unwrap(), source);
    // The first one held the same file `old`, from the same place.
    assert!(report.progress.opened_files >= 1);
    scene.check().await;
    assert_eq!(count(&scene.store, ObjectKind::Session), 0);
}

/// Names and contents that must not be had.
const MARKS: [&str; 4] = [
    "an-unmistakable-name",
    "AN UNMISTAKABLE CONTENT",
    "an-unmistakable-folder",
    "unmistakable-value",
];

fn find_mark(bytes: &[u8]) -> Option<&'static str> {
    MARKS
        .into_iter()
        .find(|mark| bytes.windows(mark.len()).any(|window| window == mark.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_stolen_key_and_every_object_only_sizes_times_and_counts_can_be_had() {
    let mut scene = Scene::new().await;
    let folder = scene.source().join(MARKS[2]);
    std::fs::create_dir(&folder).unwrap();
    for round in 0..3u8 {
        let name = format!("{}-{round}", MARKS[0]);
        let content = format!("{} {round}\n", MARKS[1]).repeat(300);
        std::fs::write(folder.join(&name), content).unwrap();
        std::os::unix::fs::symlink(MARKS[3], folder.join(format!("link-{round}"))).unwrap();
        match round {
            0 => {
                scene.back_up().await;
            }
            // A version of the administrator's own machine.
            1 => drop(scene.place.back_up(&scene.admin, "admin").await.unwrap()),
            _ => {
                scene.back_up().await;
            }
        }
        if round == 1 {
            std::fs::remove_file(folder.join(name)).unwrap();
        }
    }
    // What a collector leaves, too: plans, sessions and fences of others.
    put_new_session(&scene.admin, "2020-01-01T00:00:00Z").await;
    let key = scene.client.key.clone().unwrap();
    assert!(key.data_identities.is_empty());
    // Every text of the key, tried as an identity for everything.
    let mut envelopes = vec![key.data_envelope().unwrap(), key.index_envelope().unwrap()];
    let text = serde_json::to_string(&key).unwrap();
    for part in text.split('"').filter(|part| part.starts_with("AGE-SECRET-KEY-")) {
        envelopes.push(Envelope::from_texts(&key.data_recipient, &[part.to_owned()]).unwrap());
    }
    assert!(envelopes.len() >= 3);
    let unlocks = [
        Unlock::Passphrase("client".to_owned().into()),
        Unlock::from_identity_text(&key.index_identities[0]).unwrap(),
    ];
    let mut opened = BTreeMap::<&str, usize>::new();
    let mut own_keys = 0;
    for info in scene.store.inventory() {
        let object = scene.store.get(&info.name, None).await.unwrap();
        assert_eq!(find_mark(&object), None, "{}", info.name);
        for envelope in &envelopes {
            let Ok(content) = envelope.open(&object) else {
                continue;
            };
            *opened.entry(info.name.kind().folder()).or_default() += 1;
            assert_eq!(find_mark(&content), None, "{}", info.name);
            let content = compression::decompress_object(&content, 64 << 20).unwrap();
            assert_eq!(find_mark(&content), None, "{}", info.name);
        }
        for unlock in &unlocks {
            if let Ok(found) = key_file::open(&object, unlock) {
                assert!(found.data_identities.is_empty());
                own_keys += 1;
            }
        }
    }
    assert_eq!(own_keys, 1, "its own key file and no other");
    let folders: Vec<_> = opened.keys().copied().collect();
    let expected: Vec<_> = {
        let mut kinds = vec![ObjectKind::IndexSegment.folder(), ObjectKind::Session.folder()];
        kinds.sort_unstable();
        kinds
    };
    assert_eq!(folders, expected, "no pack and no manifest opens");
    for info in scene.store.inventory() {
        if info.name.kind() == ObjectKind::Snapshot {
            assert!(
                scene
                    .client
                    .get_snapshot(SnapshotId(info.name.id()))
                    .await
                    .is_err()
            );
        }
    }
    // And the machine's own database, with the rows of files that are there.
    for suffix in ["", "-wal", "-shm"] {
        let path = scene.place.folder.path().join(format!("client.sqlite{suffix}"));
        let bytes = std::fs::read(path).unwrap_or_default();
        assert_eq!(find_mark(&bytes), None, "{suffix}");
        let folder = scene.place.folder.path().to_str().unwrap();
        assert!(
            !bytes
                .windows(folder.len())
                .any(|window| window == folder.as_bytes())
        );
    }
    let rows = scene.place.local(&scene.client, "client").skip_rows().unwrap();
    assert!(rows.len() >= 2, "{}", rows.len());
    // The administrator's key opens what the other one cannot, so this search finds what is there.
    let mut found = 0;
    for info in scene.store.inventory() {
        if info.name.kind() == ObjectKind::Snapshot {
            let content = scene
                .admin
                .get_object(&info.name, &scene.admin.data)
                .await
                .unwrap();
            found += usize::from(String::from_utf8_lossy(&content).contains("\"sources\""));
        }
    }
    assert_eq!(found, 3);
}
