// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The contract suite against real servers on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};

use duplicati_backends::{OptionValue, StoreAddress, StoreOptions};
use duplicati_testkit::servers::{self, Server, or_skip, webdav::SignIn};

mod contract_checks;
use contract_checks::{Target, keeps_all_promises};

/// Enough for a second page of any listing that this costs little.
const MANY_OBJECTS: u32 = 1_100;
/// For servers that take several requests for one object.
const MANY_OBJECTS_SLOW: u32 = 150;

/// Makes an empty folder of a server a target, a new one each time.
async fn fresh(
    server: &Server,
    place: &str,
    has_folder: bool,
    many_objects: u32,
    address: impl Fn(&Server, String) -> StoreAddress,
) -> Target {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = format!("{place}a folder/t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let address = address(server, path.clone());
    let store = duplicati_backends::open_with_care(&address).unwrap();
    store.prepare(true).await.unwrap();
    Target {
        store,
        again: duplicati_backends::open(&address).unwrap(),
        folder: has_folder.then(|| server.root().join(path)),
        _guard: None,
        many_objects,
    }
}

fn s3(server: &Server, path: String) -> StoreAddress {
    StoreAddress {
        scheme: "s3".to_owned(),
        user: Some(servers::s3::ACCESS_KEY.to_owned()),
        password: Some(servers::s3::SECRET_KEY.into()),
        host: servers::s3::BUCKET.to_owned(),
        path: path.into(),
        options: StoreOptions::default().with_text("s3-server-name", &format!("127.0.0.1:{}", server.port)),
        ..StoreAddress::default()
    }
}

fn webdav(server: &Server, path: String) -> StoreAddress {
    StoreAddress {
        scheme: "webdav".to_owned(),
        user: Some(servers::webdav::USER.to_owned()),
        password: Some(servers::webdav::PASSWORD.into()),
        host: "127.0.0.1".to_owned(),
        port: Some(server.port),
        path: path.into(),
        ..StoreAddress::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_store_keeps_all_promises_on_s3s_fs() {
    let Some(server) = or_skip("s3 on s3s-fs", servers::s3::s3s_fs()) else {
        return;
    };
    // The server looks and writes in two steps, so that two writers at once can both win: it is used as one that cannot do this.
    keeps_all_promises("s3 on s3s-fs", async || {
        fresh(&server, "", false, MANY_OBJECTS, |server, path| {
            let mut address = s3(server, path);
            address
                .options
                .set("no-conditional-writes", OptionValue::Flag(true));
            address
        })
        .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_store_keeps_all_promises_on_moto() {
    let Some(server) = or_skip("s3 on moto", servers::s3::moto()) else {
        return;
    };
    keeps_all_promises("s3 on moto", async || {
        fresh(&server, "", false, MANY_OBJECTS, s3).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webdav_store_keeps_all_promises_on_rclone() {
    let Some(server) = or_skip("webdav on rclone", servers::webdav::rclone()) else {
        return;
    };
    keeps_all_promises("webdav on rclone", async || {
        fresh(&server, "", false, MANY_OBJECTS_SLOW, webdav).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webdav_store_keeps_all_promises_on_apache() {
    let Some(server) = or_skip("webdav on apache", servers::webdav::apache(SignIn::Basic)) else {
        return;
    };
    keeps_all_promises("webdav on apache", async || {
        fresh(&server, "", true, MANY_OBJECTS_SLOW, webdav).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webdav_store_keeps_all_promises_on_apache_with_digest() {
    let Some(server) = or_skip(
        "webdav on apache with digest",
        servers::webdav::apache(SignIn::Digest),
    ) else {
        return;
    };
    keeps_all_promises("webdav on apache with digest", async || {
        fresh(&server, "", true, MANY_OBJECTS_SLOW, |server, path| {
            let mut address = webdav(server, path);
            address
                .options
                .set("force-digest-authentication", OptionValue::Flag(true));
            address
        })
        .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webdav_store_keeps_all_promises_on_nginx() {
    let Some(server) = or_skip("webdav on nginx", servers::webdav::nginx()) else {
        return;
    };
    keeps_all_promises("webdav on nginx", async || {
        fresh(&server, "", true, MANY_OBJECTS_SLOW, webdav).await
    })
    .await;
}

fn ftp(server: &Server, path: String) -> StoreAddress {
    StoreAddress {
        scheme: "ftp".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: Some(server.port),
        path: path.into(),
        ..StoreAddress::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp_store_keeps_all_promises_on_vsftpd() {
    let Some(server) = or_skip("ftp on vsftpd", servers::ftp::vsftpd()) else {
        return;
    };
    let place = format!("{}/", servers::ftp::FOLDER);
    keeps_all_promises("ftp on vsftpd", async || {
        fresh(&server, &place, false, MANY_OBJECTS_SLOW, ftp).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp_store_keeps_all_promises_on_vsftpd_with_tls() {
    let Some(server) = or_skip("ftp on vsftpd with TLS", servers::ftp::vsftpd_with_tls()) else {
        return;
    };
    let place = format!("{}/", servers::ftp::FOLDER);
    keeps_all_promises("ftp on vsftpd with TLS", async || {
        fresh(&server, &place, false, MANY_OBJECTS_SLOW, |server, path| {
            let mut address = ftp(server, path);
            address
                .options
                .set("ftp-encryption-mode", OptionValue::Text("Explicit".to_owned()));
            address
                .options
                .set("accept-any-ssl-certificate", OptionValue::Flag(true));
            address
        })
        .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_store_keeps_all_promises_on_azurite() {
    let Some(server) = or_skip("azure on azurite", servers::azure::azurite()) else {
        return;
    };
    keeps_all_promises("azure on azurite", async || {
        fresh(&server, "", false, MANY_OBJECTS_SLOW, |server, path| {
            StoreAddress {
                scheme: "azure".to_owned(),
                user: Some(servers::azure::ACCOUNT.to_owned()),
                password: Some(servers::azure::KEY.into()),
                host: servers::azure::CONTAINER.to_owned(),
                path: path.into(),
                options: StoreOptions::default().with_text(
                    "azure-endpoint",
                    &format!("http://127.0.0.1:{}/{}", server.port, servers::azure::ACCOUNT),
                ),
                ..StoreAddress::default()
            }
        })
        .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_store_keeps_all_promises_on_an_emulator() {
    let Some(server) = or_skip("gcs on an emulator", servers::gcs::emulator()) else {
        return;
    };
    // The emulator takes no condition on writing, so it is used as a target that cannot do this.
    keeps_all_promises("gcs on an emulator", async || {
        fresh(&server, "", false, MANY_OBJECTS_SLOW, |server, path| {
            StoreAddress {
                scheme: "gcs".to_owned(),
                host: servers::gcs::BUCKET.to_owned(),
                path: path.into(),
                options: StoreOptions::default()
                    .with_text("gcs-endpoint", &format!("http://127.0.0.1:{}", server.port))
                    .with("no-conditional-writes", OptionValue::Flag(true)),
                ..StoreAddress::default()
            }
        })
        .await
    })
    .await;
}
