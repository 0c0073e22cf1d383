// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Backup over real folders: what is stored, what is read again, what a second run finds.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{path::Path, sync::Arc};

use duplicati_actors::{
    backup::{BackupOptions, BackupReport, run_backup},
    control::RunControl,
    error::RunError,
    events::Monitor,
};
use duplicati_engine::{
    clock::SystemClock,
    format::config::ChunkingParameters,
    index::local::LocalState,
    repository::{CreateOptions, Repository},
    storage::{ObjectKind, Store, memory::MemoryStore},
};

async fn repository(store: Arc<dyn Store>) -> Arc<Repository> {
    let options = CreateOptions {
        holder: None,
        chunking: ChunkingParameters::around(64 << 10),
        label: String::new(),
        created: String::new(),
    };
    Arc::new(Repository::create(store, options).await.unwrap())
}

async fn back_up(
    repository: &Arc<Repository>,
    database: &Path,
    source: &Path,
) -> Result<BackupReport, RunError> {
    back_up_tagged(repository, database, source, Vec::new()).await
}

async fn back_up_tagged(
    repository: &Arc<Repository>,
    database: &Path,
    source: &Path,
    tags: Vec<String>,
) -> Result<BackupReport, RunError> {
    let local = LocalState::open(database, repository.config.repository_id).unwrap();
    let options = BackupOptions {
        sources: vec![source.as_os_str().as_encoded_bytes().to_vec()],
        host: "host".to_owned(),
        tags,
        ..BackupOptions::default()
    };
    run_backup(
        Arc::clone(repository),
        local,
        options,
        Arc::new(SystemClock),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
}

fn count(store: &MemoryStore, kind: ObjectKind) -> usize {
    store
        .inventory()
        .iter()
        .filter(|info| info.name.kind() == kind)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn second_backup_of_same_tree_reads_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    for number in 0..300 {
        std::fs::write(
            source.join("sub").join(format!("{number}")),
            format!("content {number}").repeat(number),
        )
        .unwrap();
    }
    let store = Arc::new(MemoryStore::new());
    let repository = repository(Arc::clone(&store) as Arc<dyn Store>).await;
    let database = folder.path().join("local.sqlite");
    let first = back_up(&repository, &database, &source).await.unwrap();
    assert!(first.snapshot.is_some());
    assert_eq!(first.progress.opened_files, 300);
    assert_eq!(first.progress.added_files, 300);
    assert_eq!(
        (
            count(&store, ObjectKind::Snapshot),
            count(&store, ObjectKind::Session)
        ),
        (1, 0)
    );
    let before = store.inventory();
    let second = back_up(&repository, &database, &source).await.unwrap();
    assert!(second.unchanged && second.snapshot.is_none());
    assert_eq!(second.progress.opened_files, 0);
    assert_eq!(store.inventory(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_the_only_one_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir_all(&source).unwrap();
    for number in 0..50 {
        std::fs::write(source.join(format!("{number}")), [number; 1000]).unwrap();
    }
    let store = Arc::new(MemoryStore::new());
    let repository = repository(Arc::clone(&store) as Arc<dyn Store>).await;
    let database = folder.path().join("local.sqlite");
    back_up(&repository, &database, &source).await.unwrap();
    std::fs::write(source.join("7"), b"something else").unwrap();
    std::fs::remove_file(source.join("9")).unwrap();
    let second = back_up(&repository, &database, &source).await.unwrap();
    assert_eq!(second.progress.opened_files, 1);
    assert_eq!(
        (second.progress.modified_files, second.progress.deleted_files),
        (1, 1)
    );
    let listing = repository.list_snapshots().await.unwrap();
    assert_eq!(listing.snapshots.len(), 2);
    assert_eq!(listing.snapshots[1].1.totals.files, 49);
    assert_eq!(listing.snapshots[1].1.parent, Some(listing.snapshots[0].0));
}

/// Readers accept manifests up to 16 MiB; a larger one would be a version that nobody can open.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_no_reader_would_accept_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("one"), "content").unwrap();
    let store = Arc::new(MemoryStore::new());
    let repository = repository(Arc::clone(&store) as Arc<dyn Store>).await;
    let database = folder.path().join("x.sqlite");
    let huge = vec!["t".repeat(16 << 20)];
    let error = back_up_tagged(&repository, &database, &source, huge)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("fewer sources"), "{error}");
    assert_eq!(count(&store, ObjectKind::Snapshot), 0);
    let large = vec!["t".repeat(15 << 20)];
    back_up_tagged(&repository, &database, &source, large)
        .await
        .unwrap();
    assert_eq!(repository.list_snapshots().await.unwrap().snapshots.len(), 1);
}
