// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What only a local folder promises; the contract common to all stores is in `tests/suite/tests/contract.rs`.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn pack(first: u8) -> ObjectName {
    let mut id = [7; 16];
    id[0] = first;
    ObjectName::of(ObjectKind::Pack, id)
}

fn prepared() -> (tempfile::TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().join("a/target"));
    store.folder.prepare(true).unwrap();
    (folder, store)
}

#[test]
fn folders_and_objects_are_private_to_the_user() {
    let (_guard, store) = prepared();
    store.folder.put(&pack(1), b"content").unwrap();
    let root = &store.folder.root;
    for (path, mode) in [
        (root.clone(), 0o700),
        (root.join("packs/01"), 0o700),
        (root.join(pack(1).to_string()), 0o600),
    ] {
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o7777,
            mode,
            "{}",
            path.display()
        );
    }
}

#[test]
fn put_never_makes_a_missing_root_again() {
    let (_guard, store) = prepared();
    let root = store.folder.root.clone();
    store.folder.put(&pack(1), b"content").unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    for name in [pack(1), pack(2), ObjectName::CONFIG] {
        let error = store.folder.put(&name, b"content").unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
    }
    assert!(!root.exists());
    assert_eq!(
        store.folder.list(ObjectKind::Pack).unwrap_err().kind,
        StoreErrorKind::NotFound
    );
    assert_eq!(
        store.folder.delete(&pack(1)).unwrap_err().kind,
        StoreErrorKind::NotFound
    );
    assert_eq!(
        store.folder.prepare(false).unwrap_err().kind,
        StoreErrorKind::NotFound
    );
}

#[test]
fn folder_that_vanished_is_made_again_on_put() {
    let (_guard, store) = prepared();
    store.folder.put(&pack(1), b"content").unwrap();
    std::fs::remove_dir_all(store.folder.root.join("packs")).unwrap();
    assert!(store.folder.list(ObjectKind::Pack).unwrap().objects.is_empty());
    store.folder.put(&pack(1), b"again").unwrap();
    assert_eq!(store.folder.get(&pack(1), None).unwrap(), "again");
}

#[test]
fn failed_put_leaves_no_temporary_file() {
    let (_guard, store) = prepared();
    store.folder.put(&pack(1), b"first").unwrap();
    store.folder.put(&pack(1), b"later").unwrap_err();
    let count = std::fs::read_dir(store.folder.root.join("packs/01"))
        .unwrap()
        .count();
    assert_eq!(count, 1);
    assert_eq!(store.folder.get(&pack(1), None).unwrap(), "first");
}

#[test]
fn listing_tells_objects_temporaries_and_foreign_names_apart() {
    let (_guard, store) = prepared();
    let root = store.folder.root.clone();
    store.folder.put(&pack(1), b"content").unwrap();
    let object = root.join(pack(1).to_string());
    std::fs::write(root.join("packs/01/notes.txt"), "x").unwrap();
    std::fs::write(object.with_extension(format!("tmp-{}", "0".repeat(16))), "x").unwrap();
    std::fs::write(root.join("packs/stray"), "x").unwrap();
    std::fs::create_dir(root.join("packs/zz")).unwrap();
    std::fs::create_dir(root.join(pack(1).to_string().replace("0107", "0108"))).unwrap();
    symlink(&object, root.join(pack(1).to_string().replace("0107", "0109"))).unwrap();
    let listing = store.folder.list(ObjectKind::Pack).unwrap();
    assert_eq!(listing.objects.len(), 1);
    assert_eq!(listing.objects[0].size_bytes, 7);
    let mut foreign = listing.foreign;
    foreign.sort();
    assert_eq!(foreign.len(), 5, "{foreign:?}");
    assert!(
        foreign.contains(&"packs/stray".to_owned()) && foreign.contains(&"packs/01/notes.txt".to_owned())
    );
}

#[test]
fn foreign_root_entries_are_reported_and_our_own_are_not() {
    let (_guard, store) = prepared();
    store.folder.put(&ObjectName::CONFIG, b"{}").unwrap();
    let root = &store.folder.root;
    std::fs::create_dir(root.join("lost+found")).unwrap();
    std::fs::write(root.join(names::temporary("repository.json")), "x").unwrap();
    assert_eq!(store.folder.list_foreign_root().unwrap(), Vec::<String>::new());
    std::fs::write(root.join("duplicati-b1.dblock.zip.aes"), "x").unwrap();
    assert_eq!(
        store.folder.list_foreign_root().unwrap(),
        ["duplicati-b1.dblock.zip.aes"]
    );
}

#[test]
fn missing_root_holds_nothing_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().join("none"));
    assert!(store.folder.list_foreign_root().unwrap().is_empty());
}

#[test]
fn stale_temporaries_go_and_nothing_else() {
    let (_guard, store) = prepared();
    store.folder.put(&pack(1), b"content").unwrap();
    let root = &store.folder.root;
    let digits = pack(1).to_string().rsplit('/').next().unwrap().to_owned();
    let stale = root.join("packs/01").join(names::temporary(&digits));
    let near = root.join("packs/01").join(format!("{digits}.tmp-00"));
    std::fs::write(&stale, "x").unwrap();
    std::fs::write(&near, "x").unwrap();
    let written = stale.metadata().unwrap().mtime();
    assert_eq!(store.folder.remove_stale_temporaries(written).unwrap(), 0);
    assert!(stale.exists());
    assert_eq!(store.folder.remove_stale_temporaries(written + 1).unwrap(), 1);
    assert!(!stale.exists() && near.exists());
    assert_eq!(store.folder.list(ObjectKind::Pack).unwrap().objects.len(), 1);
}

#[test]
fn what_is_not_a_file_is_an_error_and_never_a_wait() {
    let (_guard, store) = prepared();
    let name = ObjectName::of(ObjectKind::Key, [1; 16]);
    let path = store.folder.root.join(name.to_string());
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(
        store.folder.get(&name, None).unwrap_err().kind,
        StoreErrorKind::Unreadable
    );
    assert_eq!(
        store.folder.put(&name, b"x").unwrap_err().kind,
        StoreErrorKind::AlreadyExists
    );
}

#[test]
fn huge_range_is_refused_before_anything_is_allocated() {
    let (_guard, store) = prepared();
    store.folder.put(&pack(1), b"content").unwrap();
    for range in [0..u64::MAX, 7..8, u64::MAX - 1..u64::MAX] {
        let error = store.folder.get(&pack(1), Some(range.clone())).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Truncated, "{range:?}");
    }
    assert_eq!(store.folder.get(&pack(1), Some(7..7)).unwrap(), "");
    assert_eq!(store.folder.get(&pack(1), Some(1..3)).unwrap(), "on");
}

#[test]
fn errors_name_the_path_and_a_way_out() {
    let (_guard, store) = prepared();
    std::fs::remove_dir(store.folder.root.join("keys")).unwrap();
    std::fs::write(store.folder.root.join("keys"), "x").unwrap();
    let name = ObjectName::of(ObjectKind::Key, [1; 16]);
    let error = store.folder.put(&name, b"x").unwrap_err().to_string();
    assert!(
        error.contains("keys") && error.contains("move it away"),
        "{error}"
    );
}

#[test]
fn full_device_is_told_as_no_space() {
    let error = LocalStore::new("/t")
        .folder
        .failure("put", "x")
        .from_errno(Errno::NOSPC);
    assert_eq!(error.kind, StoreErrorKind::NoSpace);
    for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS] {
        let error = LocalStore::new("/t").folder.failure("put", "x").from_errno(errno);
        assert_eq!(error.kind, StoreErrorKind::PermissionDenied);
        assert!(!error.is_retry_sensible());
    }
}

#[test]
fn a_fault_of_the_medium_costs_the_object_that_is_read_and_no_other() {
    let store = LocalStore::new("/t");
    for errno in [Errno::IO, Errno::BADMSG, Errno::UCLEAN] {
        let kind = |operation| store.folder.failure(operation, "x").from_errno(errno).kind;
        assert_eq!(kind("get"), StoreErrorKind::Unreadable);
        assert_eq!(kind("put"), StoreErrorKind::Other);
        assert_eq!(kind("list"), StoreErrorKind::Other);
    }
}
