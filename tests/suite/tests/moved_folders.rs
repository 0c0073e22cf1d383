// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Folders that are moved while they are read, deeper than descriptors are kept for: what cannot be reached any more is named, and nothing else is missing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    events::{Event, Monitor},
};
use duplicati_engine::storage::{Store, memory::MemoryStore};
use maintenance::*;

/// Deeper than the walker keeps folders open.
const DEPTH: usize = 200;

fn deep(root: &Path, depth: usize) -> PathBuf {
    (0..depth).fold(root.join("source/deep"), |path, level| {
        path.join(format!("d{level}"))
    })
}

/// Backs up a deep tree with neighbours; when the walk is at its bottom, `moves` happens. Gives the paths below the source, and the folders that were told.
async fn back_up_while(moves: impl Fn(&Path) + Send + Sync + 'static) -> (Vec<String>, Vec<String>) {
    let place = Workplace::new();
    let root = place.folder.path().to_owned();
    let bottom = deep(&root, DEPTH).join("aim");
    std::fs::create_dir_all(&bottom).unwrap();
    for depth in 0..=DEPTH {
        std::fs::write(deep(&root, depth).join("z"), depth.to_string()).unwrap();
    }
    std::fs::create_dir_all(root.join("source/neighbour")).unwrap();
    std::fs::write(root.join("source/neighbour/z"), "near").unwrap();
    let aim = std::fs::metadata(&bottom).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let (told, root) = (Arc::clone(&told), root.clone());
        move |event: Event| match event.id {
            "DestinationInSource" => moves(&root),
            "FolderNotReadToItsEnd" => {
                let path = String::from_utf8(event.subject).unwrap();
                told.lock()
                    .unwrap()
                    .push(path.rsplit('/').next().unwrap().to_owned());
            }
            _ => {}
        }
    };
    let repository = create(Arc::new(MemoryStore::new()) as Arc<dyn Store>, None).await;
    let options = BackupOptions {
        sources: vec![root.join("source").into_os_string().into_encoded_bytes()],
        // The walk tells when it comes to this folder, and waits until that is heard.
        destinations: [(aim.dev(), aim.ino())].into_iter().collect(),
        ..BackupOptions::default()
    };
    let local = place.local(&repository, "a");
    run_backup(
        Arc::clone(&repository),
        local,
        options,
        clock(),
        Monitor::new(Arc::new(sink)),
        RunControl::new(),
    )
    .await
    .unwrap();
    let contents = contents(&repository).await.into_values().next().unwrap();
    let files = contents
        .into_keys()
        .map(|path| String::from_utf8(path).unwrap())
        .map(|path| path.split_once("/source/").unwrap().1.to_owned())
        .collect();
    let told = told.lock().unwrap().clone();
    (files, told)
}

fn has(files: &[String], depth: usize) -> bool {
    let wanted = deep(Path::new(""), depth).join("z");
    let wanted = wanted.to_str().unwrap().strip_prefix("source/").unwrap();
    files.iter().any(|file| file == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_moved_away_costs_nothing_above_it() {
    let (files, told) = back_up_while(|root| {
        std::fs::rename(deep(root, 51), root.join("moved")).unwrap();
    })
    .await;
    assert!(files.contains(&"neighbour/z".to_owned()));
    assert_eq!(told, Vec::<String>::new(), "all of it could be reached");
    assert!((0..=DEPTH).all(|depth| has(&files, depth)));
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_cannot_be_reached_any_more_are_named_and_those_above_are_whole() {
    let (files, told) = back_up_while(|root| {
        std::fs::rename(deep(root, 51), root.join("moved")).unwrap();
        std::fs::rename(deep(root, 21), root.join("moved too")).unwrap();
    })
    .await;
    assert!(files.contains(&"neighbour/z".to_owned()));
    for depth in (0..=20).chain(51..=DEPTH) {
        assert!(has(&files, depth), "{depth}");
    }
    let named: Vec<String> = (20..50).rev().map(|level| format!("d{level}")).collect();
    assert_eq!(told, named);
}
