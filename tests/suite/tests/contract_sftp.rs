// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The contract suite against SFTP servers on loopback: OpenSSH, and others that lack its extensions and its order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use duplicati_backends::{OptionValue, StoreAddress, StoreOptions};
use duplicati_testkit::servers::{
    or_skip,
    ssh::{PASSWORD, SshServer, USER, asyncssh, rclone},
};

mod contract_checks;
use contract_checks::{Target, keeps_all_promises};

/// Enough for several answers of a listing.
const MANY_OBJECTS: u32 = 1_100;
/// For servers that take long for one object.
const MANY_OBJECTS_SLOW: u32 = 300;

fn address(port: u16, path: &str) -> StoreAddress {
    StoreAddress {
        scheme: "ssh".to_owned(),
        user: Some(USER.to_owned()),
        password: Some(PASSWORD.into()),
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        path: path.trim_start_matches('/').into(),
        options: StoreOptions::default().with("ssh-accept-any-fingerprints", OptionValue::Flag(true)),
        ..StoreAddress::default()
    }
}

/// Makes an empty folder a target, a new one each time.
async fn fresh(port: u16, above: &str, seen_at: &Path, many_objects: u32) -> Target {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("a folder/t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let address = address(port, &format!("{above}/{name}"));
    let store = duplicati_backends::open_with_care(&address).unwrap();
    let again = duplicati_backends::open(&address).unwrap();
    for store in [&store, &again] {
        store.prepare(true).await.unwrap();
    }
    Target {
        store,
        again,
        folder: Some(seen_at.join(name)),
        _guard: None,
        many_objects,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_store_keeps_all_promises_on_openssh() {
    let Some(server) = SshServer::start() else { return };
    let home = server.home();
    keeps_all_promises("sftp on OpenSSH", async || {
        let target = fresh(server.port(), home.to_str().unwrap(), &home, MANY_OBJECTS).await;
        assert!(target.store.capability().put_if_absent);
        target
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_store_keeps_all_promises_on_a_server_that_answers_out_of_order() {
    let Some(server) = or_skip("sftp on asyncssh", asyncssh(false)) else {
        return;
    };
    let root = server.root();
    keeps_all_promises("sftp on asyncssh", async || {
        let target = fresh(server.port, root.to_str().unwrap(), &root, MANY_OBJECTS_SLOW).await;
        assert!(target.store.capability().put_if_absent);
        target
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_store_keeps_all_promises_on_a_server_without_extensions() {
    let Some(server) = or_skip("sftp on bare asyncssh", asyncssh(true)) else {
        return;
    };
    let root = server.root();
    keeps_all_promises("sftp on bare asyncssh", async || {
        let target = fresh(server.port, root.to_str().unwrap(), &root, MANY_OBJECTS_SLOW).await;
        assert!(!target.store.capability().put_if_absent);
        target
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_store_keeps_all_promises_on_a_server_whose_rename_replaces() {
    let Some(server) = or_skip("sftp on rclone", rclone()) else {
        return;
    };
    let root = server.root();
    keeps_all_promises("sftp on rclone", async || {
        let target = fresh(server.port, "", &root, MANY_OBJECTS_SLOW).await;
        assert!(!target.store.capability().put_if_absent);
        target
    })
    .await;
}
