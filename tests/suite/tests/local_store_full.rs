// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A full disk below a local target is told as such, leaves nothing behind, and passes when room is made.
//!
//! The child is this test program run once more inside a mount namespace of its own, with a small tmpfs as the target's
//! disk; so nothing stays mounted however the test ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use bytes::Bytes;
use duplicati_backends::LocalStore;
use duplicati_engine::storage::{ObjectKind, ObjectName, Store, StoreErrorKind};

/// Set in the child: the folder where the small disk is mounted.
const CHILD_VARIABLE: &str = "DUPLICATI_TEST_FULL_FOLDER";

fn name(number: u8) -> ObjectName {
    ObjectName::of(ObjectKind::Pack, [number; 16])
}

/// Not a test by itself: the body of the child.
#[tokio::test]
async fn child_fills_the_small_disk() {
    let Ok(folder) = std::env::var(CHILD_VARIABLE) else {
        return;
    };
    let store = LocalStore::new(&folder);
    store.prepare(true).await.unwrap();
    let content = Bytes::from(vec![7; 300_000]);
    let mut stored = 0;
    let error = loop {
        match store.put(&name(stored), content.clone()).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10, "the disk is not small");
    };
    assert_eq!(error.kind, StoreErrorKind::NoSpace, "{error}");
    assert!(
        error.to_string().contains(&folder) && error.to_string().contains("free space"),
        "{error}"
    );
    let listing = store.list(ObjectKind::Pack).await.unwrap();
    assert_eq!(listing.objects.len(), usize::from(stored));
    assert_eq!(
        store.remove_stale_temporaries(i64::MAX).await.unwrap(),
        0,
        "a part was left"
    );
    store.delete(&name(0)).await.unwrap();
    store.put(&name(stored), content).await.unwrap();
}

#[test]
fn full_disk_is_told_and_leaves_nothing_behind() {
    let guard = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=1m none \"$1\"";
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(guard.path());
        command
    };
    if !in_namespace(mount).status().is_ok_and(|status| status.success()) {
        println!("skipped: mounting needs root");
        return;
    }
    let output = in_namespace(&format!(
        "{mount} && exec \"$2\" --exact child_fills_the_small_disk"
    ))
    .arg(std::env::current_exe().unwrap())
    .env(CHILD_VARIABLE, guard.path())
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
