// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The store against a small server that misbehaves on order. Real servers are tried by the suite of contracts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use duplicati_engine::storage::{ObjectKind, ObjectName, Store, StoreErrorKind};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::FtpStore;
use crate::{address::StoreAddress, files::Files, options::StoreOptions};

/// What the next transfers or deletions meet, one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The data ends in the middle, and the server says that all is well.
    ShortWithSuccess,
    /// The data ends in the middle, and the server says so (426).
    Broken,
    /// No data connection (425).
    NoData,
    /// 421, and the connection ends.
    Closing,
    /// A deletion is refused (550).
    Denied,
    /// The listing ends with a success that says that it is not all.
    CutListing,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, Vec<u8>>,
    folders: BTreeSet<String>,
    faults: Vec<Fault>,
    commands: Vec<String>,
}

impl Disk {
    fn next_fault(&mut self, possible: &[Fault]) -> Option<Fault> {
        let place = self.faults.iter().position(|fault| possible.contains(fault))?;
        Some(self.faults.remove(place))
    }

    fn listing(&self, folder: &str) -> String {
        let below = |path: &String| {
            let rest = path
                .strip_prefix(folder.trim_end_matches('/'))?
                .strip_prefix('/')?;
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned())
        };
        let files = self.files.iter().filter_map(|(path, content)| {
            Some(format!(
                "-rw-r--r-- 1 o g {} Nov 25 10:00 {}\r\n",
                content.len(),
                below(path)?
            ))
        });
        let folders = self
            .folders
            .iter()
            .filter_map(|path| Some(format!("drwxr-xr-x 2 o g 0 Nov 25 10:00 {}\r\n", below(path)?)));
        files.chain(folders).collect()
    }
}

type SharedDisk = Arc<Mutex<Disk>>;

async fn server() -> (SharedDisk, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let disk = SharedDisk::default();
    let shared = Arc::clone(&disk);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&shared)));
        }
    });
    (disk, port)
}

async fn serve(client: TcpStream, disk: SharedDisk) -> Option<()> {
    let mut client = BufReader::new(client);
    client.write_all(b"220 ready\r\n").await.ok()?;
    let (mut passive, mut from, mut folder, mut offset) = (None, String::new(), "/".to_owned(), 0);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        disk.lock().unwrap().commands.push(line.to_owned());
        let (command, path) = line.split_once(' ').unwrap_or((line, ""));
        let path = path.to_owned();
        let reply = match command {
            "USER" => "230 in".to_owned(),
            "PWD" => "257 \"/\"".to_owned(),
            "TYPE" | "NOOP" => "200 ok".to_owned(),
            "EPSV" => {
                let listener = TcpListener::bind("127.0.0.1:0").await.ok()?;
                let port = listener.local_addr().ok()?.port();
                passive = Some(listener);
                format!("229 here (|||{port}|)")
            }
            "REST" => {
                offset = path.parse().ok()?;
                "350 there".to_owned()
            }
            "CWD" => {
                let is_there = path == "/" || disk.lock().unwrap().folders.contains(&path);
                if is_there {
                    folder = path;
                    "250 in it".to_owned()
                } else {
                    "550 no".to_owned()
                }
            }
            "MKD" => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
                let mut disk = disk.lock().unwrap();
                if (parent.is_empty() || disk.folders.contains(&parent)) && disk.folders.insert(path) {
                    "257 made".to_owned()
                } else {
                    "550 no".to_owned()
                }
            }
            "SIZE" => match disk.lock().unwrap().files.get(&path) {
                Some(content) => format!("213 {}", content.len()),
                None => "550 no".to_owned(),
            },
            "DELE" => {
                let mut disk = disk.lock().unwrap();
                let is_denied = disk.next_fault(&[Fault::Denied]).is_some();
                if !is_denied && disk.files.remove(&path).is_some() {
                    "250 gone".to_owned()
                } else {
                    "550 no".to_owned()
                }
            }
            "RNFR" => {
                from = path;
                "350 to what".to_owned()
            }
            "RNTO" => {
                let mut disk = disk.lock().unwrap();
                match disk.files.remove(&from) {
                    Some(content) => {
                        disk.files.insert(path, content);
                        "250 renamed".to_owned()
                    }
                    None => "550 no".to_owned(),
                }
            }
            "RETR" | "STOR" | "LIST" => {
                let possible = [
                    Fault::ShortWithSuccess,
                    Fault::Broken,
                    Fault::NoData,
                    Fault::Closing,
                    Fault::CutListing,
                ];
                let fault = disk.lock().unwrap().next_fault(&possible);
                if fault == Some(Fault::NoData) {
                    client.write_all(b"425 no data connection\r\n").await.ok()?;
                    continue;
                }
                client.write_all(b"150 now\r\n").await.ok()?;
                let (mut data, _) = passive.take()?.accept().await.ok()?;
                if command == "STOR" {
                    let mut content = Vec::new();
                    data.read_to_end(&mut content).await.ok()?;
                    if fault.is_some() {
                        content.truncate(content.len() / 2);
                    }
                    disk.lock().unwrap().files.insert(path, content);
                } else {
                    let content = match command {
                        "LIST" => disk.lock().unwrap().listing(&folder).into_bytes(),
                        _ => disk.lock().unwrap().files.get(&path)?[std::mem::take(&mut offset)..].to_vec(),
                    };
                    let end = if fault.is_some() {
                        content.len() / 2
                    } else {
                        content.len()
                    };
                    // A client that wants no more cuts it off.
                    let _cut = data.write_all(&content[..end]).await;
                    let _cut = data.shutdown().await;
                }
                match fault {
                    Some(Fault::Broken) => "426 broken off".to_owned(),
                    Some(Fault::Closing) => {
                        client.write_all(b"421 closing\r\n").await.ok()?;
                        return None;
                    }
                    Some(Fault::CutListing) => "226 Output truncated to 2000 matches".to_owned(),
                    _ => "226 done".to_owned(),
                }
            }
            _ => "502 what".to_owned(),
        };
        client.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}

fn address(port: u16) -> StoreAddress {
    StoreAddress {
        scheme: "ftp".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        path: "backup".into(),
        options: StoreOptions::default(),
        ..StoreAddress::default()
    }
}

async fn prepared() -> (SharedDisk, Arc<FtpStore>) {
    let (disk, port) = server().await;
    let store = super::open(&address(port)).unwrap();
    store.prepare(true).await.unwrap();
    (disk, store)
}

fn name(number: u8) -> ObjectName {
    ObjectName::of(ObjectKind::Pack, [number; 16])
}

fn content() -> Bytes {
    (0..400_000_u32)
        .map(|place| (place / 7) as u8)
        .collect::<Vec<_>>()
        .into()
}

fn spoil(disk: &SharedDisk, fault: Fault) {
    disk.lock().unwrap().faults.push(fault);
}

#[tokio::test]
async fn a_short_transfer_is_an_error_that_may_be_tried_again_and_never_a_short_object() {
    let (disk, store) = prepared().await;
    store.put(&name(1), content()).await.unwrap();
    for fault in [
        Fault::ShortWithSuccess,
        Fault::Broken,
        Fault::NoData,
        Fault::Closing,
    ] {
        for range in [None, Some(0..content().len() as u64), Some(200_000..400_000)] {
            spoil(&disk, fault);
            let error = store.get(&name(1), range.clone()).await.unwrap_err();
            assert_eq!(
                error.kind,
                StoreErrorKind::Unavailable,
                "{fault:?} {range:?}: {error}"
            );
        }
    }
    assert!(store.get(&name(1), None).await.unwrap() == content());
    assert!(store.get(&name(1), Some(10..100_010)).await.unwrap() == content().slice(10..100_010));
    let error = store.get(&name(1), Some(10..400_001)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Truncated);
}

#[tokio::test]
async fn an_upload_that_did_not_arrive_whole_is_seen_and_leaves_nothing() {
    let (disk, store) = prepared().await;
    for fault in [Fault::ShortWithSuccess, Fault::Broken, Fault::NoData] {
        spoil(&disk, fault);
        let error = store.put(&name(1), content()).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{fault:?}: {error}");
        assert!(disk.lock().unwrap().files.is_empty());
    }
    spoil(&disk, Fault::Closing);
    assert!(
        store
            .put(&name(1), content())
            .await
            .unwrap_err()
            .is_retry_sensible()
    );
    store.put(&name(1), content()).await.unwrap();
    let listing = store.list(ObjectKind::Pack).await.unwrap();
    assert_eq!((listing.objects.len(), listing.foreign.len()), (1, 0));
    let error = store.put(&name(1), content()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
}

#[tokio::test]
async fn reading_makes_no_folder_and_a_root_that_is_gone_is_no_empty_one() {
    let (disk, port) = server().await;
    let store = super::open(&address(port)).unwrap();
    for error in [
        store.list(ObjectKind::Pack).await.unwrap_err(),
        store.list(ObjectKind::Config).await.unwrap_err(),
        store.get(&name(1), None).await.unwrap_err(),
        store.delete(&name(1)).await.unwrap_err(),
        store.prepare(false).await.unwrap_err(),
        store.put(&name(1), content()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
    }
    assert!(store.list_files(true).await.is_err());
    assert!(disk.lock().unwrap().folders.is_empty());
    store.prepare(true).await.unwrap();
    store.prepare(false).await.unwrap();
    assert!(store.list(ObjectKind::Pack).await.unwrap().objects.is_empty());
}

#[tokio::test]
async fn a_deletion_that_was_refused_is_an_error_and_one_of_nothing_is_not() {
    let (disk, store) = prepared().await;
    store.delete(&name(1)).await.unwrap();
    store.put(&name(1), content()).await.unwrap();
    spoil(&disk, Fault::Denied);
    let error = store.delete(&name(1)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::PermissionDenied, "{error}");
    store.delete(&name(1)).await.unwrap();
    assert!(disk.lock().unwrap().files.is_empty());
}

#[tokio::test]
async fn a_listing_that_the_server_cut_is_an_error() {
    let (disk, store) = prepared().await;
    store.put(&name(1), content()).await.unwrap();
    spoil(&disk, Fault::CutListing);
    let error = store.list(ObjectKind::Pack).await.unwrap_err();
    assert!(
        error.message.contains("truncated") || error.message.contains("not understood"),
        "{error}"
    );
    spoil(&disk, Fault::Broken);
    assert!(store.list(ObjectKind::Pack).await.is_err());
    assert_eq!(store.list(ObjectKind::Pack).await.unwrap().objects.len(), 1);
}

#[tokio::test]
async fn one_connection_serves_many_operations() {
    let (disk, store) = prepared().await;
    for number in 0..5 {
        store.put(&name(number), content()).await.unwrap();
        store.get(&name(number), Some(0..10)).await.unwrap();
    }
    let logins = disk
        .lock()
        .unwrap()
        .commands
        .iter()
        .filter(|line| line.starts_with("USER"))
        .count();
    assert_eq!(logins, 1);
}
