// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The program, a real server beside it, and curl that checks the certificate.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// Longest wait for a server to see a new certificate, looks at an interval.
const LOOKS_MAX: u32 = 600;
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A home with a data folder.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path(".config/Duplicati")
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_duplicati-configure"))
            .args(words)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {errors}");
        errors
    }

    fn shown(&self, line: &str) -> Vec<String> {
        let said = self.good(&["https", "show"]);
        let lines = said.lines().filter_map(|found| found.trim().strip_prefix(line));
        lines
            .map(|rest| rest.trim_start_matches(':').trim().to_owned())
            .collect()
    }
}

/// A server on the data folder of a world.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_duplicati-configure")).with_file_name("duplicati-server");
        assert!(
            program.exists(),
            "the server is not built; build the package duplicati-server first"
        );
        let mut child = Command::new(program)
            .args(["--webservice-port=0", "--webservice-password=easy1234"])
            .args(arguments)
            .env_clear()
            .env("HOME", world.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .find_map(|line| line.ok().filter(|line| line.contains("is listening on")))
            .expect("the server started");
        std::thread::spawn(move || lines.for_each(drop));
        let port = line.rsplit(' ').next().unwrap().to_owned();
        Self { child, port }
    }

    /// Whether curl gets an answer, trusting only what is in a file.
    fn answers(&self, world: &World, authority: &str) -> bool {
        let output = Command::new("curl")
            .args(["-sS", "--cacert", authority])
            .arg(format!("https://localhost:{}/health", self.port))
            .current_dir(world.folder.path())
            .output()
            .unwrap();
        output.stdout == b"Healthy"
    }

    fn shown_hash(&self) -> String {
        let script = format!(
            "openssl s_client -connect 127.0.0.1:{} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha1",
            self.port
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().rsplit('=').next().unwrap().replace(':', "")
    }

    fn stop(mut self) {
        let id = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

#[test]
fn a_certificate_is_made_served_renewed_under_a_running_server_and_removed() {
    let world = World::new();
    assert!(
        world
            .refused(&["https", "show"], 2)
            .contains("--auto-create-database")
    );
    world.good(&[
        "https",
        "generate",
        "--no-trust",
        "--auto-create-database",
        "--hostnames",
        "localhost,backup.example",
    ]);
    assert_eq!(world.shown("Names"), ["localhost, backup.example"]);
    assert_eq!(std::fs::metadata(world.data()).unwrap().mode() & 0o777, 0o700);
    let database = world.data().join("Duplicati-server.sqlite");
    assert_eq!(std::fs::metadata(database).unwrap().mode() & 0o777, 0o600);
    world.good(&["https", "export-ca"]);
    world.good(&["https", "export", "--file", "server.crt"]);
    let server = Server::start(&world, &[]);
    assert!(server.answers(&world, "duplicati-ca.crt"));
    assert!(!server.answers(&world, "/etc/ssl/certs/ca-certificates.crt"));
    let first = world.shown("SHA-1");
    assert_eq!(server.shown_hash(), first[0]);
    world.good(&["https", "renew"]);
    let second = world.shown("SHA-1");
    assert!(
        second[0] != first[0] && second[1] == first[1],
        "the authority stays"
    );
    let is_served = (0..LOOKS_MAX).any(|_| {
        std::thread::sleep(LOOK_INTERVAL);
        server.shown_hash() == second[0]
    });
    assert!(is_served, "the running server has noticed");
    assert!(server.answers(&world, "duplicati-ca.crt"));
    server.stop();
    world.good(&["https", "remove", "--no-trust"]);
    assert!(world.good(&["https", "show"]).contains("Certificate: none"));
    assert!(world.refused(&["https", "export"], 2).contains("https generate"));
    let plain = Server::start(&world, &[]);
    let output = Command::new("curl")
        .args(["-sS", &format!("http://127.0.0.1:{}/health", plain.port)])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"Healthy");
}

#[test]
fn what_the_machine_trusts_follows_the_authority() {
    let world = World::new();
    std::fs::create_dir(world.path("trusted")).unwrap();
    let folder = format!("--cert-dir={}", world.path("trusted").display());
    let files = || -> Vec<String> {
        let entries = std::fs::read_dir(world.path("trusted")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    world.good(&["https", "generate", "--auto-create-database", &folder]);
    let first = files();
    assert!(
        first.len() == 1 && first[0].starts_with("duplicati-local-ca-") && first[0].ends_with(".crt"),
        "{first:?}"
    );
    let kept = std::fs::read(world.path("trusted").join(&first[0])).unwrap();
    world.good(&["https", "export-ca"]);
    assert_eq!(std::fs::read(world.path("duplicati-ca.crt")).unwrap(), kept);
    assert!(world.good(&["https", "show", &folder]).contains(&first[0]));
    assert!(
        world
            .refused(&["https", "generate", &folder], 2)
            .contains("https renew")
    );
    world.good(&["https", "regenerate-ca", &folder]);
    let second = files();
    assert!(second.len() == 1 && second != first, "{second:?}");
    world.good(&["https", "remove", &folder]);
    assert!(files().is_empty());
    let nowhere = format!("--cert-dir={}", world.path("nowhere").display());
    assert!(
        world
            .refused(&["https", "generate", &nowhere], 2)
            .contains("--no-trust")
    );
    assert!(
        world.good(&["https", "show"]).contains("Certificate: none"),
        "nothing was half done"
    );
}

#[test]
fn keys_are_sealed_and_open_only_with_the_settings_key() {
    let world = World::new();
    let key = "--settings-encryption-key=key number one";
    world.good(&["https", "generate", "--no-trust", "--auto-create-database", key]);
    let bytes = std::fs::read(world.data().join("Duplicati-server.sqlite")).unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"PRIVATE KEY"));
    let said = world.refused(&["https", "show"], 2);
    assert!(said.contains("--settings-encryption-key"), "{said}");
    let said = world.refused(&["https", "show", "--settings-encryption-key=another key"], 2);
    assert!(!said.contains("another key"), "{said}");
    assert!(world.good(&["https", "show", key]).contains("made here"));
    world.good(&["https", "export-ca", key]);
    assert!(Server::start(&world, &[key]).answers(&world, "duplicati-ca.crt"));
}

#[test]
fn a_certificate_that_was_brought_is_neither_renewed_nor_replaced() {
    let world = World::new();
    let made = Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -days 20 -subj /CN=own -addext subjectAltName=DNS:localhost -keyout k -out c".split(' '))
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    assert!(made.status.success());
    let whole = [
        std::fs::read(world.path("c")).unwrap(),
        std::fs::read(world.path("k")).unwrap(),
    ]
    .concat();
    std::fs::write(world.path("own.pem"), whole).unwrap();
    let file = format!(
        "--webservice-sslcertificatefile={}",
        world.path("own.pem").display()
    );
    Server::start(&world, &["--disable-db-encryption", &file]).stop();
    assert!(world.good(&["https", "show"]).contains("brought by a file"));
    world.refused(&["https", "renew"], 2);
    world.refused(&["https", "generate", "--no-trust"], 2);
    world.good(&["https", "export", "--file=c"]);
    assert!(
        world
            .refused(&["https", "export", "--file=k"], 2)
            .contains("no certificate"),
        "a key is not written over"
    );
}

#[test]
fn wrong_words_end_with_1_and_wrong_wishes_with_2() {
    let world = World::new();
    for words in [
        &["htps", "show"][..],
        &["https"],
        &["https", "show", "--fiel=x"],
        &["https", "export", "--file"],
    ] {
        world.refused(words, 1);
    }
    world.refused(
        &[
            "https",
            "generate",
            "--no-trust",
            "--auto-create-database",
            "--hostnames=a b",
        ],
        2,
    );
    for words in [&["--help"][..], &[], &["https", "generate", "--help"]] {
        assert!(world.good(words).contains("secure-datafolder"), "{words:?}");
    }
    assert_eq!(world.good(&["--version"]).trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn an_open_data_folder_is_closed_when_told_so() {
    let world = World::new();
    world.refused(&["secure-datafolder", "--apply"], 2);
    std::fs::create_dir_all(world.data()).unwrap();
    std::fs::set_permissions(world.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(world.refused(&["secure-datafolder"], 2).contains("--apply"));
    assert_eq!(world.good(&["secure-datafolder", "--apply", "--quiet"]), "");
    assert_eq!(std::fs::metadata(world.data()).unwrap().mode() & 0o777, 0o700);
    assert!(world.good(&["secure-datafolder"]).contains("already"));
}
