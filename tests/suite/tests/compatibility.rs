// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Repositories that released versions of the stored format wrote stay readable (F-8): they lie in `tests/compatibility`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::BTreeSet,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    events::Monitor,
    restore::{RestoreRequest, restore},
    verify::{VerifyOptions, run_verify},
};
use duplicati_backends::StoreAddress;
use duplicati_engine::{
    clock::{SystemClock, Timestamp},
    crypto::key_file::{KeyHolder, Unlock},
    format::config::ChunkingParameters,
    index::{ChunkIndex, local::LocalState},
    repository::{CreateOptions, Repository},
    restore::RestoreOptions,
};
use duplicati_testkit::{ManualClock, TestFolder};

/// Every stored repository: folder, and passphrase if it is encrypted. The README there says the same.
const REPOSITORIES: [(&str, Option<&str>); 2] = [
    ("v1-encrypted", Some("kept for compatibility")),
    ("v1-open", None),
];

/// A time that file systems keep, with nanoseconds.
const MODIFIED: (i64, i64) = (1_700_000_000, 123_456_789);

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../compatibility")
}

/// Content that follows from a number: text that compresses, and noise that does not.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length)
        .map(|place| match seed % 2 {
            0 => noise(),
            _ => b"the same words again and again, "[place % 32],
        })
        .collect()
}

/// The files of each version, newest last: name and content.
fn versions() -> Vec<Vec<(&'static str, Vec<u8>)>> {
    let first = vec![
        ("empty", Vec::new()),
        ("noise", content(2, 150_000)),
        ("sub/text", content(1, 100_000)),
        ("sub/deeper/small", b"small".to_vec()),
    ];
    let mut second = first.clone();
    second[1].1 = content(4, 90_000);
    second[3].0 = "sub/deeper/renamed";
    vec![first, second]
}

fn write_tree(root: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, content) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let time = rustix::fs::Timespec {
            tv_sec: MODIFIED.0,
            tv_nsec: MODIFIED.1,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty()).unwrap();
    }
    symlink("sub/text", root.join("link")).unwrap();
    std::fs::hard_link(root.join("noise"), root.join("noise, again")).unwrap();
    let sparse = std::fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
}

fn check_tree(root: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, content) in files {
        let path = root.join(name);
        assert!(std::fs::read(&path).unwrap() == *content, "{name} differs");
        let status = path.metadata().unwrap();
        assert_eq!((status.mtime(), status.mtime_nsec()), MODIFIED, "{name}");
        assert_eq!(status.mode() & 0o777, 0o640, "{name}");
    }
    assert_eq!(
        std::fs::read_link(root.join("link")).unwrap(),
        Path::new("sub/text")
    );
    let inode = |name: &str| root.join(name).metadata().unwrap().ino();
    assert_eq!(inode("noise"), inode("noise, again"));
    let sparse = std::fs::read(root.join("sparse")).unwrap();
    assert!(sparse.len() == 1 << 20 && sparse.iter().all(|byte| *byte == 0));
    let found = names(root);
    assert_eq!(found.len(), files.len() + 5, "{found:?}");
}

/// All names below a folder.
fn names(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            found.insert(entry.path().strip_prefix(root).unwrap().to_owned());
        }
    }
    found
}

#[test]
fn every_stored_repository_is_tested() {
    let listed: BTreeSet<_> = REPOSITORIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stored: BTreeSet<_> = std::fs::read_dir(kept())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(stored, listed);
    let readme = std::fs::read_to_string(kept().join("README.md")).unwrap();
    for (name, passphrase) in REPOSITORIES {
        assert!(
            readme.contains(name) && passphrase.is_none_or(|text| readme.contains(text)),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_in_stored_repositories_verifies_and_restores() {
    for (name, passphrase) in REPOSITORIES {
        let folder = TestFolder::new().unwrap();
        // A copy: a store may write beside what it reads, and what is kept must never change.
        let copy = folder.path().join("repository");
        copy_folder(&kept().join(name), &copy);
        let store = duplicati_backends::open(&StoreAddress::local(copy)).unwrap();
        let unlock = passphrase.map(|text| Unlock::Passphrase(text.to_owned().into()));
        let repository = Arc::new(Repository::open(store, unlock.as_ref()).await.unwrap());
        let options = VerifyOptions {
            samples: None,
            full: true,
        };
        let clock = Arc::new(SystemClock);
        let verified = run_verify(
            Arc::clone(&repository),
            None,
            options,
            clock,
            Monitor::silent(),
            RunControl::new(),
        )
        .await
        .unwrap();
        assert!(verified.is_clean(), "{name}: {:?}", verified.findings);
        let mut index = ChunkIndex::new();
        repository
            .load_index(None, |_, pack| index.add(&pack))
            .await
            .unwrap();
        let index = Arc::new(index);
        let snapshots = repository.list_snapshots().await.unwrap().snapshots;
        assert_eq!(snapshots.len(), versions().len());
        for (number, ((_, manifest), files)) in snapshots.iter().zip(versions()).enumerate() {
            let target = folder.path().join(format!("restored-{number}"));
            let options = RestoreOptions {
                target: Some(target.clone()),
                restore_permissions: true,
                ..RestoreOptions::default()
            };
            let request = RestoreRequest::new(Arc::clone(&repository), Arc::clone(&index), manifest, options);
            let report = restore(request, Monitor::silent(), RunControl::new())
                .await
                .unwrap();
            assert_eq!(report.failed_entries, 0, "{name}");
            check_tree(&target, &files);
        }
    }
}

/// Copies files only: version control keeps no empty folders, so none may be needed.
fn copy_folder(from: &Path, to: &Path) {
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_file() {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// Writes the repositories that are listed and not there yet; run it when a version of the format is released.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes into the source tree; for releases"]
async fn write() {
    for (name, passphrase) in REPOSITORIES {
        let target = kept().join(name);
        if target.exists() {
            continue;
        }
        let folder = TestFolder::new().unwrap();
        let store = duplicati_backends::open(&StoreAddress::local(target)).unwrap();
        let options = CreateOptions {
            holder: passphrase.map(|text| KeyHolder::Passphrase(text.to_owned().into())),
            chunking: ChunkingParameters::around(16 << 10),
            label: "kept".to_owned(),
            created: "2026-01-01T00:00:00.000000000Z".to_owned(),
        };
        let repository = Arc::new(Repository::create(store, options).await.unwrap());
        let source = folder.path().join("source");
        for (number, files) in versions().iter().enumerate() {
            if source.exists() {
                duplicati_testkit::tree_remove::remove_tree(&source).unwrap();
            }
            std::fs::create_dir(&source).unwrap();
            write_tree(&source, files);
            let database = folder.path().join("local.sqlite");
            let local = LocalState::open(&database, repository.config.repository_id).unwrap();
            let options = BackupOptions {
                sources: vec![source.as_os_str().as_encoded_bytes().to_vec()],
                host: "host".to_owned(),
                user: "user".to_owned(),
                program: "compatibility".to_owned(),
                ..BackupOptions::default()
            };
            let clock = ManualClock::new(Timestamp::from_seconds(1_767_225_600 + number as i64 * 86_400));
            let (monitor, control) = (Monitor::silent(), RunControl::new());
            let repository = Arc::clone(&repository);
            run_backup(repository, local, options, Arc::new(clock), monitor, control)
                .await
                .unwrap();
        }
    }
}
