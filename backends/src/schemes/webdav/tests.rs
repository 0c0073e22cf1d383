// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The store against a small server that answers on order. Real servers are tried by the suite of contracts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use bytes::Bytes;
use duplicati_engine::storage::{ObjectKind, ObjectName, Store, StoreErrorKind};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::WebdavStore;
use crate::address::StoreAddress;

#[derive(Default)]
struct Server {
    files: BTreeMap<String, usize>,
    /// Statuses for the next `MOVE`s, one each.
    moves: Vec<u16>,
    /// The answer to every `PROPFIND` of a folder.
    listing: Option<String>,
}

type Shared = Arc<Mutex<Server>>;

fn response(href: &str, size: usize, modified: &str) -> String {
    format!(
        "<response><href>{href}</href><propstat><prop><resourcetype/><getcontentlength>{size}</getcontentlength>\
         <getlastmodified>{modified}</getlastmodified></prop><status>HTTP/1.1 200 OK</status></propstat></response>"
    )
}

fn multistatus(inside: &str) -> String {
    format!("<multistatus xmlns=\"DAV:\">{inside}</multistatus>")
}

impl Server {
    fn answer(&mut self, method: &str, path: &str, destination: &str, length: usize) -> (u16, String) {
        match method {
            "PUT" => {
                self.files.insert(path.to_owned(), length);
                (201, String::new())
            }
            "DELETE" => match self.files.remove(path) {
                Some(_) => (204, String::new()),
                None => (404, String::new()),
            },
            "MOVE" if !self.moves.is_empty() => (self.moves.remove(0), String::new()),
            "MOVE" => {
                let size = self.files.remove(path).unwrap();
                let place = destination.find("/base/").unwrap();
                self.files.insert(destination[place..].to_owned(), size);
                (201, String::new())
            }
            "PROPFIND" => match (self.files.get(path), &self.listing) {
                (Some(size), _) => (207, multistatus(&response(path, *size, ""))),
                (None, Some(listing)) if path.ends_with('/') => (207, listing.clone()),
                _ => (404, String::new()),
            },
            _ => (201, String::new()),
        }
    }
}

async fn serve(client: TcpStream, server: Shared) -> Option<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut first = String::new();
        if client.read_line(&mut first).await.ok()? == 0 {
            return None;
        }
        let (mut length, mut destination) = (0, String::new());
        loop {
            let mut line = String::new();
            client.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "destination" => value.clone_into(&mut destination),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await.ok()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let (status, text) = server.lock().unwrap().answer(method, path, &destination, length);
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", text.len());
        client.write_all(head.as_bytes()).await.ok()?;
        client.write_all(text.as_bytes()).await.ok()?;
    }
}

async fn store() -> (Shared, Arc<WebdavStore>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Shared::default();
    let shared = Arc::clone(&server);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&shared)));
        }
    });
    let store = super::open(&StoreAddress {
        scheme: "webdav".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        path: "base".into(),
        ..StoreAddress::default()
    });
    (server, store.unwrap())
}

fn name(number: u8) -> ObjectName {
    ObjectName::of(ObjectKind::Key, [number; 16])
}

#[tokio::test]
async fn a_bad_moment_of_a_proxy_does_not_end_atomic_puts_and_a_server_that_cannot_move_does() {
    let (server, store) = store().await;
    for status in [502, 400, 503, 409] {
        server.lock().unwrap().moves.push(status);
        let error = store.put(&name(1), Bytes::from_static(b"x")).await.unwrap_err();
        assert_eq!(error.is_retry_sensible(), status > 500, "{error}");
        assert!(store.moves.load(Ordering::Relaxed), "{status}");
        assert!(
            server.lock().unwrap().files.is_empty(),
            "a temporary file was left"
        );
    }
    store.put(&name(1), Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(server.lock().unwrap().files.len(), 1);
    server.lock().unwrap().moves.push(405);
    store.put(&name(2), Bytes::from_static(b"x")).await.unwrap();
    assert!(!store.moves.load(Ordering::Relaxed));
    assert_eq!(server.lock().unwrap().files.len(), 2);
}

#[tokio::test]
async fn a_listing_that_is_not_whole_is_an_error() {
    let (server, store) = store().await;
    let object = name(1).to_string();
    let whole = response(&format!("/base/{object}"), 5, "");
    let says = |inside: &str| server.lock().unwrap().listing = Some(multistatus(inside));
    says(&whole);
    assert_eq!(store.list(ObjectKind::Key).await.unwrap().objects.len(), 1);
    says(&format!("{whole}{}", response("/elsewhere/x", 5, "")));
    let error = store.list(ObjectKind::Key).await.unwrap_err();
    assert!(error.message.contains("/elsewhere/x"), "{error}");
    for (status, kind) in [
        (403, StoreErrorKind::PermissionDenied),
        (503, StoreErrorKind::Unavailable),
        (507, StoreErrorKind::Other),
    ] {
        says(&format!(
            "{whole}<response><href>/base/keys/</href><status>HTTP/1.1 {status} x</status></response>"
        ));
        let error = store.list(ObjectKind::Key).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    says(&whole.replace("<getcontentlength>5</getcontentlength>", ""));
    assert!(store.list(ObjectKind::Key).await.is_err());
}

#[tokio::test]
async fn temporary_files_go_by_their_age_and_nothing_else_does() {
    let (server, store) = store().await;
    let object = name(1).to_string();
    let old = "Thu, 01 Jan 1970 00:01:40 GMT";
    let temporary = |digit: char| format!("/base/{object}.tmp-{}", digit.to_string().repeat(16));
    let listing = [
        response(&temporary('a'), 5, old),
        response(&temporary('b'), 5, "Thu, 01 Jan 1970 00:02:00 GMT"),
        response(&temporary('c'), 5, ""),
        response(&format!("/base/{object}"), 5, old),
        response("/base/keys/note.txt", 5, old),
    ];
    {
        let mut server = server.lock().unwrap();
        server.listing = Some(multistatus(&listing.concat()));
        for digit in ['a', 'b', 'c'] {
            server.files.insert(temporary(digit), 5);
        }
        server.files.insert(format!("/base/{object}"), 5);
    }
    store.remove_stale_temporaries(110).await.unwrap();
    let files: Vec<String> = server.lock().unwrap().files.keys().cloned().collect();
    assert_eq!(files, [format!("/base/{object}"), temporary('b'), temporary('c')]);
}
