// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Real servers behind a proxy that spoils connections: each case ends in success, or in a clear error, and what is stored is whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use duplicati_backends::{OptionValue, StoreAddress, StoreOptions};
use duplicati_engine::storage::{ObjectKind, ObjectName, Store, StoreErrorKind};
use duplicati_testkit::servers::{
    self, Server, or_skip,
    proxy::{Proxy, Toxic},
};

/// Larger than what the kernel takes in one go, so that a cut falls into the body.
const OBJECT_BYTES: usize = 12 << 20;

fn name(number: u8) -> ObjectName {
    ObjectName::of(ObjectKind::Pack, [number; 16])
}

fn content(seed: u8) -> Bytes {
    (0..OBJECT_BYTES)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 11) as u8 ^ seed)
        .collect::<Vec<_>>()
        .into()
}

fn patient() -> StoreOptions {
    StoreOptions::default()
        .with("retry-delay", OptionValue::Duration(Duration::from_millis(50)))
        .with(
            "read-write-timeout",
            OptionValue::Duration(Duration::from_secs(2)),
        )
        .with("short-timeout", OptionValue::Duration(Duration::from_secs(2)))
        .with("list-timeout", OptionValue::Duration(Duration::from_secs(2)))
}

fn s3(port: u16) -> Arc<dyn Store> {
    duplicati_backends::open_with_care(&StoreAddress {
        scheme: "s3".to_owned(),
        user: Some(servers::s3::ACCESS_KEY.to_owned()),
        password: Some(servers::s3::SECRET_KEY.into()),
        host: servers::s3::BUCKET.to_owned(),
        path: "spoiled".into(),
        options: patient().with_text("s3-server-name", &format!("127.0.0.1:{port}")),
        ..StoreAddress::default()
    })
    .unwrap()
}

fn webdav(port: u16) -> Arc<dyn Store> {
    duplicati_backends::open_with_care(&StoreAddress {
        scheme: "webdav".to_owned(),
        user: Some(servers::webdav::USER.to_owned()),
        password: Some(servers::webdav::PASSWORD.into()),
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        path: "spoiled".into(),
        options: patient(),
        ..StoreAddress::default()
    })
    .unwrap()
}

async fn survives(server: &Server, open: fn(u16) -> Arc<dyn Store>) {
    let proxy = Proxy::before(server.port);
    let store = open(proxy.port);
    let direct = open(server.port);
    store.prepare(true).await.unwrap();

    println!("bursts of refusals");
    for (number, status) in [(1, 503), (2, 500), (3, 429), (4, 502)] {
        proxy.spoil_next(vec![Toxic::Answer(status, Some(1)), Toxic::Answer(status, None)]);
        store.put(&name(number), content(number)).await.unwrap();
        assert!(direct.get(&name(number), None).await.unwrap() == content(number));
        proxy.spoil_next(vec![Toxic::Answer(status, None); 2]);
        assert!(store.get(&name(number), None).await.unwrap() == content(number));
    }

    println!("cut in the middle of a body");
    proxy.spoil_next(vec![Toxic::CutUploadAfter(3 << 20), Toxic::CutUploadAfter(200)]);
    store.put(&name(5), content(5)).await.unwrap();
    proxy.spoil_next(vec![
        Toxic::CutDownloadAfter(3 << 20),
        Toxic::CutDownloadAfter(100),
    ]);
    assert!(store.get(&name(5), None).await.unwrap() == content(5));
    proxy.spoil_next(vec![Toxic::CutDownloadAfter(1 << 20)]);
    let part = store.get(&name(5), Some(1_000..5_001_000)).await.unwrap();
    assert!(part == content(5).slice(1_000..5_001_000));

    println!("answer lost after the upload");
    proxy.spoil_next(vec![Toxic::CutDownloadAfter(1)]);
    store.put(&name(6), content(6)).await.unwrap();
    assert!(direct.get(&name(6), None).await.unwrap() == content(6));

    println!("hang");
    proxy.spoil_next(vec![Toxic::Hang]);
    store.put(&name(7), content(7)).await.unwrap();
    proxy.spoil_next(vec![Toxic::Hang]);
    assert!(store.get(&name(7), None).await.unwrap() == content(7));
    proxy.spoil_next(vec![Toxic::Hang]);
    let listing = store.list(ObjectKind::Pack).await.unwrap();
    assert_eq!(listing.objects.len(), 7);
    assert!(
        listing
            .objects
            .iter()
            .all(|object| object.size_bytes == OBJECT_BYTES as u64)
    );
    assert!(listing.foreign.is_empty(), "{:?}", listing.foreign);

    println!("a race is still lost when the answer is lost as well");
    proxy.spoil_next(vec![Toxic::CutDownloadAfter(1)]);
    let error = store.put(&name(7), content(8)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::AlreadyExists, "{error}");
    assert!(direct.get(&name(7), None).await.unwrap() == content(7));

    println!("slow line");
    proxy.spoil(Toxic::Delay(Duration::from_millis(20)));
    assert!(store.get(&name(1), Some(0..1_000_000)).await.unwrap() == content(1).slice(..1_000_000));
    proxy.spoil(Toxic::Pass);
    for number in 1..=7 {
        store.delete(&name(number)).await.unwrap();
    }
    assert!(direct.list(ObjectKind::Pack).await.unwrap().objects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_survives_a_spoiled_line() {
    let Some(server) = or_skip("spoiled s3s-fs", servers::s3::s3s_fs()) else {
        return;
    };
    survives(&server, s3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webdav_survives_a_spoiled_line() {
    let Some(server) = or_skip("spoiled nginx", servers::webdav::nginx()) else {
        return;
    };
    survives(&server, webdav).await;
}
