// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any tree comes back as it was, from every version, also after other versions are gone.
//!
//! `PROPTEST_CASES=1000` tries more trees than a normal run. Failing seeds are kept in `tests/suite/seeds`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use duplicati_actors::{
    backup::{BackupOptions, BackupReport, run_backup},
    compact::{CompactOptions, run_compact},
    control::RunControl,
    delete::{DeleteOptions, run_delete},
    events::{Event, Monitor, Severity},
    restore::{RestoreRequest, restore},
    verify::{VerifyOptions, run_verify},
};
use duplicati_engine::{
    clock::SystemClock,
    crypto::key_file::KeyHolder,
    format::{config::ChunkingParameters, manifest::Manifest},
    id::SnapshotId,
    index::{ChunkIndex, local::LocalState},
    repository::{CreateOptions, Repository},
    restore::RestoreOptions,
    storage::{Store, memory::MemoryStore},
};
use duplicati_testkit::{
    CompareOptions, TestFolder, assert_same_trees,
    tree_edits::{Edit, EditedTree},
    tree_strategies::{CHUNK_AVERAGE_BYTES, changes, tree},
};
use proptest::{prelude::*, test_runner::FileFailurePersistence};

/// Packs this small make several in most cases, bytes.
const PACK_SIZE_BYTES: u64 = 256 << 10;

fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|text| text.parse().ok()).unwrap_or(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/seeds/tree_properties.txt"
        )))),
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    }
}

/// A repository in memory and the folder of one case.
struct Case {
    folder: TestFolder,
    repository: Arc<Repository>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Case {
    async fn new(encrypted: bool) -> Self {
        let holder = || KeyHolder::Passphrase("secret".to_owned().into());
        let options = CreateOptions {
            holder: encrypted.then(holder),
            chunking: ChunkingParameters::around(CHUNK_AVERAGE_BYTES),
            label: String::new(),
            created: String::new(),
        };
        let store = Arc::new(MemoryStore::new()) as Arc<dyn Store>;
        Self {
            folder: TestFolder::new().unwrap(),
            repository: Arc::new(Repository::create(store, options).await.unwrap()),
            complaints: Arc::default(),
        }
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn monitor(&self) -> Monitor {
        let complaints = Arc::clone(&self.complaints);
        Monitor::new(Arc::new(move |event: Event| {
            if event.severity >= Severity::Warning {
                let subject = String::from_utf8_lossy(&event.subject).into_owned();
                complaints
                    .lock()
                    .unwrap()
                    .push(format!("{subject}: {}", event.message));
            }
        }))
    }

    #[track_caller]
    fn assert_no_complaints(&self) {
        let complaints = self.complaints.lock().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    async fn back_up(&self, commit_unchanged: bool) -> BackupReport {
        let database = self.folder.path().join("local.sqlite");
        let local = LocalState::open(&database, self.repository.config.repository_id).unwrap();
        let options = BackupOptions {
            sources: vec![self.source().as_os_str().as_encoded_bytes().to_vec()],
            pack_size_bytes: PACK_SIZE_BYTES,
            commit_unchanged,
            ..BackupOptions::default()
        };
        let repository = Arc::clone(&self.repository);
        let clock = Arc::new(SystemClock);
        run_backup(
            repository,
            local,
            options,
            clock,
            self.monitor(),
            RunControl::new(),
        )
        .await
        .unwrap()
    }

    /// Restores a version below a new folder and returns where the source came to lie.
    async fn restore(&self, manifest: &Manifest, name: &str) -> PathBuf {
        let target = self.folder.path().join(name);
        let mut index = ChunkIndex::new();
        let all = self.repository.load_index(None, |_, pack| index.add(&pack));
        all.await.unwrap();
        let options = RestoreOptions {
            target: Some(target.clone()),
            restore_permissions: true,
            restore_symlink_metadata: true,
            keep_full_paths: true,
            ..RestoreOptions::default()
        };
        let request = RestoreRequest::new(Arc::clone(&self.repository), Arc::new(index), manifest, options);
        let report = restore(request, self.monitor(), RunControl::new()).await.unwrap();
        self.assert_no_complaints();
        assert_eq!(report.failed_entries, 0);
        let mut place = target.into_os_string();
        place.push(self.source());
        place.into()
    }

    async fn delete_and_compact(&self, id: SnapshotId) {
        let delete = DeleteOptions {
            snapshots: vec![id],
            dry_run: false,
        };
        let clock = || Arc::new(SystemClock);
        let repository = || Arc::clone(&self.repository);
        run_delete(repository(), delete, clock(), self.monitor(), RunControl::new())
            .await
            .unwrap();
        let options = CompactOptions::new(PACK_SIZE_BYTES);
        let report = run_compact(
            repository(),
            None,
            options,
            clock(),
            self.monitor(),
            RunControl::new(),
        )
        .await
        .unwrap();
        assert!(report.is_finished(), "{report:?}");
        let options = VerifyOptions {
            samples: None,
            full: true,
        };
        let report = run_verify(
            repository(),
            None,
            options,
            clock(),
            self.monitor(),
            RunControl::new(),
        )
        .await
        .unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }

    async fn snapshots(&self) -> Vec<(SnapshotId, Manifest)> {
        self.repository.list_snapshots().await.unwrap().snapshots
    }
}

#[track_caller]
fn assert_restored(original: &Path, restored: &Path, ignore_root: bool) {
    let options = CompareOptions {
        ignore_owner: !rustix::process::geteuid().is_root(),
        ignore_root,
        ..CompareOptions::default()
    };
    assert_same_trees(original, restored, &options);
}

fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(case);
}

async fn one_tree(edits: &[Edit], encrypted: bool) {
    let case = Case::new(encrypted).await;
    EditedTree::new(&case.source()).unwrap().apply(edits).unwrap();
    case.back_up(false).await;
    case.assert_no_complaints();
    let snapshots = case.snapshots().await;
    let restored = case.restore(&snapshots[0].1, "restored").await;
    assert_restored(&case.source(), &restored, false);
    let again = case.back_up(false).await;
    assert!(again.unchanged && again.progress.opened_files == 0, "{again:?}");
}

async fn history(rounds: &[Vec<Edit>], goes: usize, encrypted: bool) {
    let case = Case::new(encrypted).await;
    let mut tree = EditedTree::new(&case.source()).unwrap();
    for edits in rounds {
        tree.apply(edits).unwrap();
        case.back_up(true).await;
    }
    // What each version must be is made again, apart from the source, which has changed since.
    let reference = |version: usize| {
        let root = case.folder.path().join(format!("reference-{version}"));
        let mut tree = EditedTree::new(&root).unwrap();
        for edits in &rounds[..=version] {
            tree.apply(edits).unwrap();
        }
        root
    };
    let references: Vec<_> = (0..rounds.len()).map(reference).collect();
    let snapshots = case.snapshots().await;
    assert_eq!(snapshots.len(), rounds.len());
    for (version, (_, manifest)) in snapshots.iter().enumerate() {
        let restored = case.restore(manifest, &format!("restored-{version}")).await;
        assert_restored(&references[version], &restored, true);
    }
    let goes = goes % snapshots.len();
    case.delete_and_compact(snapshots[goes].0).await;
    for (version, (_, manifest)) in snapshots.iter().enumerate() {
        if version != goes {
            let restored = case.restore(manifest, &format!("later-{version}")).await;
            assert_restored(&references[version], &restored, true);
        }
    }
    case.back_up(true).await;
    let newest = case.snapshots().await.pop().unwrap();
    let restored = case.restore(&newest.1, "newest").await;
    assert_restored(&references[rounds.len() - 1], &restored, true);
    case.assert_no_complaints();
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn any_tree_comes_back_as_it_was(edits in tree(40), encrypted in prop::bool::weighted(0.2)) {
        run(one_tree(&edits, encrypted));
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn every_version_of_a_changing_tree_comes_back_also_when_another_is_gone(
        first in tree(20),
        second in changes(15),
        third in changes(15),
        goes in 0..3usize,
        encrypted in prop::bool::weighted(0.2),
    ) {
        run(history(&[first, second, third], goes, encrypted));
    }
}
