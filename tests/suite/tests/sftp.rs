// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Logins, host keys and faults of a target behind a real OpenSSH server. The contract is in `contract.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use duplicati_backends::schemes::sftp::{HostKeyPolicy, LoginKey, SftpArguments, SftpStore};
use duplicati_engine::storage::{ObjectKind, ObjectName, Store, StoreError, StoreErrorKind};
use duplicati_testkit::servers::ssh::{PASSPHRASE, PASSWORD, SshServer, USER};

fn name(number: u8) -> ObjectName {
    ObjectName::of(ObjectKind::Pack, [number; 16])
}

fn arguments(server: &SshServer) -> SftpArguments {
    SftpArguments {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        user: USER.to_owned(),
        password: Some(PASSWORD.into()),
        key: None,
        agent: None,
        host_key: HostKeyPolicy::fingerprints(&server.fingerprint("ed25519", "sha256")).unwrap(),
        root: Bytes::from(format!("{}/target", server.home().display())),
        silence: Duration::from_secs(20),
        keepalive: None,
        limits: Arc::default(),
    }
}

/// Logs in and makes the target.
async fn prepare(arguments: SftpArguments) -> Result<(), StoreError> {
    SftpStore::new(arguments).prepare(true).await
}

#[track_caller]
fn expect_denied(result: Result<(), StoreError>, words: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::PermissionDenied, "{error}");
    let text = format!("{error} {error:?}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
    assert!(!text.contains(PASSWORD) && !text.contains(PASSPHRASE), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_every_form_of_key_log_in() {
    let Some(server) = SshServer::start() else { return };
    prepare(arguments(&server)).await.unwrap();
    let text = std::fs::read_to_string(server.key()).unwrap();
    for (key, password) in [
        (LoginKey::File(server.key()), None),
        (LoginKey::File(server.rsa_key()), None),
        (LoginKey::Text(text.into()), None),
        (LoginKey::File(server.protected_key()), Some(PASSPHRASE.into())),
    ] {
        let key = Some(key);
        prepare(SftpArguments {
            key,
            password,
            ..arguments(&server)
        })
        .await
        .unwrap();
    }
    assert!(server.home().join("target/packs").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_and_the_message_says_what_was_tried() {
    let Some(server) = SshServer::start() else { return };
    let password = Some("wrong".into());
    let result = prepare(SftpArguments {
        password,
        ..arguments(&server)
    })
    .await;
    expect_denied(result, &["the password", USER]);
    let password = None;
    expect_denied(
        prepare(SftpArguments {
            password,
            ..arguments(&server)
        })
        .await,
        &["--ssh-keyfile"],
    );
    let protected = || Some(LoginKey::File(server.protected_key()));
    for (password, word) in [(None, "passphrase"), (Some("wrong".into()), "--auth-password")] {
        let key = protected();
        let result = prepare(SftpArguments {
            key,
            password,
            ..arguments(&server)
        })
        .await;
        expect_denied(result, &[word, "user_protected"]);
    }
    let key = Some(LoginKey::File("/nowhere/key".into()));
    let error = prepare(SftpArguments {
        key,
        ..arguments(&server)
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("/nowhere/key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passphrase_of_a_key_is_never_sent_as_a_password() {
    let Some(server) = SshServer::start() else { return };
    // A key that the server does not accept, under a passphrase that is the account's password.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", PASSWORD, "-f"])
        .arg(&file);
    assert!(command.status().unwrap().success());
    let key = Some(LoginKey::File(file));
    expect_denied(
        prepare(SftpArguments {
            key,
            ..arguments(&server)
        })
        .await,
        &["the key"],
    );
}

/// An agent that ends with the test.
struct Agent {
    _folder: tempfile::TempDir,
    socket: std::path::PathBuf,
    process: std::process::Child,
}

impl Agent {
    fn start(key: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let mut process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !socket.exists() {
            assert!(process.try_wait().unwrap().is_none(), "the agent has ended");
            std::thread::yield_now();
        }
        let mut add = Command::new("ssh-add");
        add.arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &socket)
            .stdin(Stdio::null());
        assert!(add.status().unwrap().success());
        Self {
            _folder: folder,
            socket,
            process,
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_agent_log_in_and_an_agent_that_is_gone_does_no_harm() {
    let Some(server) = SshServer::start() else { return };
    for key in [server.key(), server.rsa_key()] {
        let process = Agent::start(&key);
        let agent = Some(process.socket.clone());
        let password = None;
        prepare(SftpArguments {
            agent,
            password,
            ..arguments(&server)
        })
        .await
        .unwrap();
    }
    let agent = Some("/nowhere/socket".into());
    prepare(SftpArguments {
        agent,
        ..arguments(&server)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_wrong_host_keys_are_refused_before_anything_is_sent() {
    let Some(server) = SshServer::start() else { return };
    let with = |host_key| {
        prepare(SftpArguments {
            host_key,
            ..arguments(&server)
        })
    };
    let shown = format!(
        "--ssh-fingerprint=\"{}\"",
        server.fingerprint("ed25519", "sha256")
    );
    let nobody = HostKeyPolicy::known_hosts(vec!["/nowhere".into()]);
    expect_denied(
        with(nobody).await,
        &[&shown.replace('"', "\\\""), "--ssh-accept-any-fingerprints"],
    );
    let other = "ssh-ed25519 256 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    expect_denied(
        with(HostKeyPolicy::fingerprints(other).unwrap()).await,
        &["posing", USER],
    );
    assert!(
        !server.log().contains("Accepted") && !server.log().contains("Failed password"),
        "{}",
        server.log()
    );
    assert!(!server.home().join("target").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_the_right_fingerprint_is_accepted() {
    let Some(server) = SshServer::start() else { return };
    for kind in ["ed25519", "rsa"] {
        for hash in ["sha256", "md5"] {
            let whole = server.fingerprint(kind, hash);
            let duplicati = whole.replace("MD5:", "");
            let bare = whole.rsplit(' ').next().unwrap();
            for text in [&whole, &duplicati, bare] {
                let host_key = HostKeyPolicy::fingerprints(text).unwrap();
                prepare(SftpArguments {
                    host_key,
                    ..arguments(&server)
                })
                .await
                .unwrap();
            }
        }
    }
    for host_key in [
        HostKeyPolicy::known_hosts(vec![server.known_hosts()]),
        HostKeyPolicy::any(),
    ] {
        prepare(SftpArguments {
            host_key,
            ..arguments(&server)
        })
        .await
        .unwrap();
    }
}

async fn prepared(server: &SshServer) -> Arc<SftpStore> {
    let store = Arc::new(SftpStore::new(arguments(server)));
    store.prepare(true).await.unwrap();
    store
}

fn large(seed: u8) -> Bytes {
    (0..24_000_000_u32)
        .map(|place| (place >> 8) as u8 ^ place as u8 ^ seed)
        .collect::<Vec<u8>>()
        .into()
}

/// Waits for something that is about to happen.
/// Longest wait for something that must happen; a hang is a failure.
const UNTIL_MAX: Duration = Duration::from_secs(60);

async fn until(mut is_so: impl FnMut() -> bool) {
    let happens = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(UNTIL_MAX, happens).await;
    assert!(in_time.is_ok(), "what was waited for did not happen");
}

fn temporaries(server: &SshServer) -> usize {
    let folder = server.home().join("target/packs");
    let shards = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = shards.flat_map(|shard| std::fs::read_dir(shard).unwrap());
    files
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains(".tmp-")
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_dies_in_the_middle_of_a_put_is_replaced() {
    let Some(server) = SshServer::start() else { return };
    let store = prepared(&server).await;
    for number in 0..5 {
        let (writer, content) = (store.clone(), large(number));
        let put = tokio::spawn(async move { writer.put(&name(number), content).await });
        until(|| temporaries(&server) > 0 || put.is_finished()).await;
        until(|| server.kill_connections() > 0).await;
        let put = tokio::time::timeout(UNTIL_MAX, put).await;
        put.expect("the loss of the connection is noticed")
            .unwrap()
            .unwrap();
        assert!(store.get(&name(number), None).await.unwrap() == large(number));
    }
    let listing = store.list(ObjectKind::Pack).await.unwrap();
    assert_eq!((listing.objects.len(), listing.foreign.len()), (5, 0));
    assert_eq!(temporaries(&server), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_dies_in_the_middle_of_a_get_is_replaced() {
    let Some(server) = SshServer::start() else { return };
    let store = prepared(&server).await;
    store.put(&name(1), large(1)).await.unwrap();
    for _ in 0..5 {
        let reader = store.clone();
        let get = tokio::spawn(async move { reader.get(&name(1), None).await });
        tokio::task::yield_now().await;
        server.kill_connections();
        let get = tokio::time::timeout(UNTIL_MAX, get).await;
        assert!(
            get.expect("the loss of the connection is noticed")
                .unwrap()
                .unwrap()
                == large(1)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_is_gone_is_told_as_passing_and_found_again() {
    let Some(mut server) = SshServer::start() else {
        return;
    };
    let store = prepared(&server).await;
    store.put(&name(1), large(1)).await.unwrap();
    server.stop();
    for error in [
        store.get(&name(1), None).await.unwrap_err(),
        store.put(&name(2), large(2)).await.unwrap_err(),
        store.list(ObjectKind::Pack).await.unwrap_err(),
    ] {
        assert!(error.is_retry_sensible(), "{error}");
        assert!(error.to_string().contains(&server.port().to_string()), "{error}");
    }
    server.start_again();
    store.put(&name(2), large(2)).await.unwrap();
    assert_eq!(store.list(ObjectKind::Pack).await.unwrap().objects.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let Some(server) = SshServer::start() else { return };
    let port = listener.local_addr().unwrap().port();
    let (from, to) = (listener, server.port());
    let is_dead = Arc::new(tokio::sync::Notify::new());
    let stop = is_dead.clone();
    // Carries the bytes until it is told to stop, and then holds the connection without a word.
    tokio::spawn(async move {
        let (mut client, _) = from.accept().await.unwrap();
        let mut behind = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut behind) => {}
            () = stop.notified() => drop(from),
        }
        std::future::pending::<()>().await;
    });
    let silence = Duration::from_secs(2);
    let store = SftpStore::new(SftpArguments {
        port,
        silence,
        ..arguments(&server)
    });
    store.prepare(true).await.unwrap();
    is_dead.notify_one();
    tokio::task::yield_now().await;
    let error = store.put(&name(1), large(1)).await.unwrap_err();
    assert!(error.is_retry_sensible(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_is_told_and_leaves_nothing_behind() {
    let Some(server) = SshServer::start() else { return };
    let root = Bytes::from(format!("{}/small/target", server.home().display()));
    let store = SftpStore::new(SftpArguments {
        root,
        ..arguments(&server)
    });
    store.prepare(true).await.unwrap();
    let content = Bytes::from(vec![7; 1_000_000]);
    let mut stored = 0;
    let error = loop {
        match store.put(&name(stored), content.clone()).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10, "the disk is not small");
    };
    assert_eq!(error.kind, StoreErrorKind::NoSpace, "{error}");
    assert!(error.to_string().contains("free space"), "{error}");
    assert_eq!(
        store.list(ObjectKind::Pack).await.unwrap().objects.len(),
        usize::from(stored)
    );
    store.delete(&name(0)).await.unwrap();
    store.put(&name(stored), content).await.unwrap();
    assert_eq!(
        store.remove_stale_temporaries(i64::MAX).await.unwrap(),
        0,
        "a part was left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn places_where_nothing_may_be_written_are_told() {
    let Some(server) = SshServer::start() else { return };
    for (root, kind) in [
        ("frozen/target", StoreErrorKind::PermissionDenied),
        ("/etc/target", StoreErrorKind::PermissionDenied),
    ] {
        let root = server.home().join(root);
        let root = Bytes::from(root.to_str().unwrap().to_owned());
        let error = prepare(SftpArguments {
            root,
            ..arguments(&server)
        })
        .await
        .unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    let store = prepared(&server).await;
    let packs = server.home().join("target/packs");
    std::fs::set_permissions(&packs, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    let error = store.put(&name(1), Bytes::from_static(b"x")).await.unwrap_err();
    assert!(
        matches!(
            error.kind,
            StoreErrorKind::PermissionDenied | StoreErrorKind::NotFound
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn put_never_makes_a_missing_root_again() {
    let Some(server) = SshServer::start() else { return };
    let store = prepared(&server).await;
    store.put(&name(1), Bytes::from_static(b"x")).await.unwrap();
    let root = server.home().join("target");
    std::fs::remove_dir_all(root.join("packs")).unwrap();
    assert!(store.list(ObjectKind::Pack).await.unwrap().objects.is_empty());
    store.put(&name(1), Bytes::from_static(b"again")).await.unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    for name in [name(1), name(2), ObjectName::CONFIG] {
        let error = store.put(&name, Bytes::from_static(b"x")).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
    }
    for error in [
        store.list(ObjectKind::Pack).await.map(drop).unwrap_err(),
        store.delete(&name(1)).await.unwrap_err(),
        store.prepare(false).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
    }
    assert!(!root.exists() && store.list_foreign_root().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_text_are_shown_as_foreign() {
    let Some(server) = SshServer::start() else { return };
    let store = prepared(&server).await;
    store.put(&name(1), Bytes::from_static(b"x")).await.unwrap();
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"f\xffile");
    std::fs::write(server.home().join("target").join(bytes), "x").unwrap();
    assert_eq!(store.list_foreign_root().await.unwrap(), ["f\u{fffd}ile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn relative_root_lies_in_the_folder_of_the_login() {
    let Some(server) = SshServer::start() else { return };
    let root = Bytes::from_static(b"below/target");
    let store = SftpStore::new(SftpArguments {
        root,
        ..arguments(&server)
    });
    store.prepare(true).await.unwrap();
    store.put(&name(1), Bytes::from_static(b"x")).await.unwrap();
    assert!(
        server
            .home()
            .join("below/target")
            .join(name(1).to_string())
            .exists()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_temporaries_go_and_nothing_else() {
    let Some(server) = SshServer::start() else { return };
    let store = prepared(&server).await;
    store.put(&name(1), Bytes::from_static(b"x")).await.unwrap();
    let object = server.home().join("target").join(name(1).to_string());
    let beside =
        |end: &str| object.with_file_name(format!("{}{end}", object.file_name().unwrap().to_str().unwrap()));
    let (stale, near) = (beside(".tmp-0123456789abcdef"), beside(".tmp-00"));
    std::fs::write(&stale, "x").unwrap();
    std::fs::write(&near, "x").unwrap();
    let written = std::os::unix::fs::MetadataExt::mtime(&stale.metadata().unwrap());
    for file in [&stale, &near] {
        std::os::unix::fs::chown(file, Some(54_321), None).unwrap();
    }
    assert_eq!(store.remove_stale_temporaries(written).await.unwrap(), 0);
    assert_eq!(store.remove_stale_temporaries(written + 1).await.unwrap(), 1);
    assert!(!stale.exists() && near.exists() && object.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn exclusive_puts_are_claimed_only_after_they_were_proven() {
    let Some(server) = SshServer::start() else { return };
    let store = prepared(&server).await;
    assert!(store.capability().put_if_absent);
    let again = SftpStore::new(arguments(&server));
    assert!(!again.capability().put_if_absent);
    again.put(&name(1), Bytes::from_static(b"x")).await.unwrap();
    assert!(again.capability().put_if_absent);
    assert_eq!(temporaries(&server), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_are_open_at_once_than_one_byte_can_count() {
    let Some(server) = SshServer::start() else { return };
    let store = prepared(&server).await;
    let puts = (0..400_u32).map(|number| {
        let store = store.clone();
        let mut id = [7; 16];
        id[..4].copy_from_slice(&number.to_le_bytes());
        tokio::spawn(async move {
            let name = ObjectName::of(ObjectKind::Pack, id);
            store
                .put(&name, Bytes::from(vec![number as u8; 1_000]))
                .await
                .unwrap();
            assert_eq!(store.get(&name, None).await.unwrap(), vec![number as u8; 1_000]);
        })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap();
    }
    assert_eq!(store.list(ObjectKind::Pack).await.unwrap().objects.len(), 400);
}
