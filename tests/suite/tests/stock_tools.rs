// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The stored format is what its document says: the independent reader restores from it, and stock `age` and `zstd` open every object (F-1).
//!
//! `tests/run` makes the reader's Python environment; without it these tests fail, so that they are never skipped by accident.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    events::Monitor,
};
use duplicati_backends::StoreAddress;
use duplicati_engine::{
    clock::SystemClock,
    crypto::key_file::KeyHolder,
    format::config::ChunkingParameters,
    index::local::LocalState,
    repository::{CreateOptions, Repository},
};
use duplicati_testkit::{CompareOptions, FidelityOptions, TestFolder, assert_same_trees, fidelity_tree};

fn project_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn reader_python() -> PathBuf {
    let python = project_root().join("target/reader-venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run tests/reader/prepare first, as tests/run does",
        python.display()
    );
    python
}

async fn repository_of(source: &Path, target: &Path, encrypted: bool) -> Arc<Repository> {
    let options = CreateOptions {
        holder: encrypted.then(|| KeyHolder::Passphrase("a secret".to_owned().into())),
        chunking: ChunkingParameters::around(64 << 10),
        label: "first".to_owned(),
        created: "2026-01-01T00:00:00.000000000Z".to_owned(),
    };
    let store = duplicati_backends::open(&StoreAddress::local(target.to_owned())).unwrap();
    let repository = Arc::new(Repository::create(store, options).await.unwrap());
    let database = target.with_extension("sqlite");
    let local = LocalState::open(&database, repository.config.repository_id).unwrap();
    let options = BackupOptions {
        sources: vec![source.as_os_str().as_encoded_bytes().to_vec()],
        ..BackupOptions::default()
    };
    let (monitor, control) = (Monitor::silent(), RunControl::new());
    let report = run_backup(
        Arc::clone(&repository),
        local,
        options,
        Arc::new(SystemClock),
        monitor,
        control,
    )
    .await
    .unwrap();
    assert!(report.snapshot.is_some());
    repository
}

async fn reader_restores(encrypted: bool) {
    let folder = TestFolder::new().unwrap();
    let source = folder.path().join("source");
    let report = fidelity_tree(&source, &FidelityOptions::default()).unwrap();
    println!("not possible here: {:?}", report.skipped);
    let target = folder.path().join("target");
    repository_of(&source, &target, encrypted).await;
    let restored = folder.path().join("restored");
    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, "a secret\n").unwrap();
    let mut command = Command::new(reader_python());
    command
        .arg(project_root().join("tests/reader/restore.py"))
        .arg(&target)
        .arg(&restored);
    if encrypted {
        command.arg("--passphrase-file").arg(&passphrase);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let mut place = restored.into_os_string();
    place.push(&source);
    let options = CompareOptions {
        ignore_owner: !rustix::process::geteuid().is_root(),
        ..CompareOptions::default()
    };
    assert_same_trees(&source, Path::new(&place), &options);
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_reader_restores_everything_from_an_encrypted_repository() {
    reader_restores(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_reader_restores_everything_from_an_open_repository() {
    reader_restores(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_age_and_zstd_open_every_object() {
    let folder = TestFolder::new().unwrap();
    let source = folder.path().join("source");
    let small = FidelityOptions {
        chain_folders: 3,
        wide_folder_files: 50,
        ..FidelityOptions::default()
    };
    fidelity_tree(&source, &small).unwrap();
    let target = folder.path().join("target");
    let repository = repository_of(&source, &target, true).await;
    let key = repository.key.as_ref().unwrap();
    let identities = folder.path().join("identities");
    std::fs::write(
        &identities,
        format!("{}\n{}\n", key.data_identities[0], key.index_identities[0]),
    )
    .unwrap();
    let mut opened = 0;
    for kind in ["packs", "index", "snapshots"] {
        let mut folders = vec![target.join(kind)];
        while let Some(place) = folders.pop() {
            for entry in std::fs::read_dir(place).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut age = Command::new("age")
                    .arg("-d")
                    .arg("-i")
                    .arg(&identities)
                    .arg(&path)
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let zstd = Command::new("zstd")
                    .args(["-d", "-c", "-q"])
                    .stdin(age.stdout.take().unwrap())
                    .output()
                    .unwrap();
                assert!(age.wait().unwrap().success(), "age on {}", path.display());
                assert!(
                    zstd.status.success() && !zstd.stdout.is_empty(),
                    "zstd on {}",
                    path.display()
                );
                opened += 1;
            }
        }
    }
    assert!(opened >= 4, "{opened} objects");
}
