// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The program against a real server.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use duplicati_testkit::servers::{or_skip_unless_demanded, postgres::postgres};
use serde_json::{Value, json};

/// A server with a home of its own.
struct World {
    folder: tempfile::TempDir,
    server: Child,
    url: String,
}

impl World {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, None)
    }

    /// With its database at a URL.
    fn start_with(arguments: &[&str], database_url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program =
            Path::new(env!("CARGO_BIN_EXE_duplicati-server-util")).with_file_name("duplicati-server");
        assert!(
            program.exists(),
            "the server is not built; build the package duplicati-server first"
        );
        let mut server = Command::new(program)
            .args(["--webservice-port=0", "--disable-db-encryption"])
            .args(arguments)
            .env("HOME", folder.path())
            .envs(database_url.map(|url| ("DUPLICATI__SERVER_DATABASE_URL", url)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let line = lines
            .find_map(|line| line.ok().filter(|line| line.contains("is listening on")))
            .expect("the server started");
        std::thread::spawn(move || lines.for_each(drop));
        let port = line.rsplit(' ').next().unwrap().to_owned();
        std::fs::create_dir(folder.path().join("source")).unwrap();
        std::fs::write(folder.path().join("source/a.txt"), "hello").unwrap();
        Self {
            folder,
            server,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// The same server by HTTPS, under another name of this machine.
    fn over_https(mut self) -> Self {
        self.url = self.url.replace("http://127.0.0.1", "https://localhost");
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn util_in(&self, home: &Path, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_duplicati-server-util"))
            .args(arguments)
            .arg(format!("--hosturl={}", self.url))
            .env("HOME", home)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command of the owner, with its object.
    fn util(&self, arguments: &[&str]) -> (i32, Value) {
        let mut all = arguments.to_vec();
        all.push("--json");
        let output = self.util_in(self.folder.path(), &all);
        let value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)));
        (output.status.code().unwrap(), value)
    }

    fn import(&self, name: &str) -> Value {
        let file = self.path("job.json");
        let job = json!({"Backup": {
            "Name": name, "TargetURL": format!("file://{}", self.path("destination").display()),
            "Sources": [self.path("source")], "Settings": [], "Filters": [],
        }});
        std::fs::write(&file, job.to_string()).unwrap();
        let (code, made) = self.util(&[
            "import",
            file.to_str().unwrap(),
            "--backup-passphrase=correct horse",
        ]);
        assert_eq!(code, 0, "{made}");
        made["Imported"].clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ended = self.server.kill().and_then(|()| self.server.wait());
    }
}

#[test]
fn the_owner_needs_no_password_and_others_do() {
    let world = World::start(&["--webservice-password=easy1234"]);
    let (code, status) = world.util(&["status"]);
    assert_eq!(
        (code, &status["ServerState"], &status["Success"]),
        (0, &json!("Running"), &json!(true))
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = world.util_in(elsewhere.path(), &["status"]);
    assert_eq!(refused.status.code(), Some(2));
    let wrong = world.util_in(elsewhere.path(), &["status", "--password=wrong"]);
    assert_eq!(wrong.status.code(), Some(2));
    let right = world.util_in(elsewhere.path(), &["login", "--password", "easy1234"]);
    assert!(
        right.status.success(),
        "{}",
        String::from_utf8_lossy(&right.stderr)
    );
    let remembered = world.util_in(elsewhere.path(), &["status"]);
    assert!(remembered.status.success());
    assert!(world.util_in(elsewhere.path(), &["logout"]).status.success());
    assert_eq!(
        world.util_in(elsewhere.path(), &["status"]).status.code(),
        Some(2)
    );
    let (code, changed) = world.util(&["change-password", "another one"]);
    assert_eq!(code, 0, "{changed}");
    assert!(
        world
            .util_in(elsewhere.path(), &["login", "--password=another one"])
            .status
            .success()
    );
}

#[test]
fn a_backup_is_imported_run_listed_exported_and_removed() {
    let world = World::start(&[]);
    let made = world.import("Documents");
    assert_eq!(made["Name"], "Documents");
    let (code, ran) = world.util(&["run", "documents", "--wait", "--poll-interval=1"]);
    assert_eq!((code, &ran["Result"]), (0, &json!("Success")), "{ran}");
    let (_, list) = world.util(&["list-backups", "--detailed"]);
    assert_eq!(list["Backups"][0]["Backup"]["Metadata"]["BackupListCount"], "1");
    assert!(list["Messages"].to_string().contains("Versions: 1"));
    let folder = world.path("exports");
    std::fs::create_dir(&folder).unwrap();
    let destination = format!("--destination={}", folder.display());
    let (code, _) = world.util(&["export", "all", &destination]);
    assert_eq!(code, 2, "plain files are to be asked for");
    let (code, exported) = world.util(&["export", "all", "--unencrypted", &destination]);
    assert_eq!(code, 0, "{exported}");
    let file: Value =
        serde_json::from_slice(&std::fs::read(folder.join("1-Documents.json")).unwrap()).unwrap();
    assert_eq!(file["Backup"]["Name"], "Documents");
    assert!(!file.to_string().contains("correct horse"));
    assert_eq!(
        world.util(&["export", "1", "--unencrypted", &destination]).0,
        2,
        "nothing is overwritten unasked"
    );
    assert_eq!(world.util(&["run", "no such"]).0, 2);
    std::fs::remove_dir_all(world.path("source")).unwrap();
    let (code, failed) = world.util(&["run", "1", "--wait", "--poll-interval=1"]);
    assert_eq!((code, &failed["Result"]), (4, &json!("Fatal")), "{failed}");
    assert_eq!(world.util(&["delete", "Documents", "--delete-remote-files"]).0, 0);
}

#[test]
fn the_server_is_paused_resumed_and_asked_for_its_health() {
    let world = World::start(&[]);
    assert_eq!(world.util(&["pause", "5m"]).0, 0);
    assert_eq!(world.util(&["status"]).1["ServerState"], "Paused");
    assert_eq!(world.util(&["pause", "soon"]).0, 1);
    assert_eq!(world.util(&["resume"]).0, 0);
    assert_eq!(world.util(&["status"]).1["ServerState"], "Running");
    assert_eq!(world.util(&["health"]).1["healthy"], true);
    assert_eq!(world.util(&["issue-forever-token"]).0, 1);
}

#[test]
fn a_machine_without_certificate_authorities_reaches_its_server_over_plain_http() {
    let world = World::start(&[]);
    let nothing = tempfile::tempdir().unwrap();
    let asked = |url: &str| {
        Command::new(env!("CARGO_BIN_EXE_duplicati-server-util"))
            .args(["health", &format!("--hosturl={url}")])
            .env("HOME", world.folder.path())
            .env("SSL_CERT_DIR", nothing.path())
            .env("SSL_CERT_FILE", nothing.path().join("none.pem"))
            .output()
            .unwrap()
    };
    let plain = asked(&world.url);
    assert!(
        plain.status.success(),
        "{}",
        String::from_utf8_lossy(&plain.stderr)
    );
    assert!(asked(&world.url.replace("http", "HTTP")).status.success());
    // Over TLS nobody could be trusted.
    assert_eq!(asked(&world.url.replace("http", "https")).status.code(), Some(1));
}

/// SHA-1 of the certificate that a server shows, and the authority behind it, by openssl.
fn shown_certificate(world: &World) -> (String, PathBuf) {
    let address = world.url.replace("https://", "");
    let file = world.path("shown.pem");
    let script = format!(
        "openssl s_client -showcerts -connect {address} </dev/null 2>/dev/null >{file} && openssl x509 -noout -fingerprint -sha1 <{file}",
        file = file.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text.trim().rsplit('=').next().unwrap().to_owned(), file)
}

#[test]
fn the_owner_needs_nothing_over_https_and_others_trust_what_they_are_told_to() {
    let world = World::start(&["--webservice-password=easy1234", "--configure-https"]).over_https();
    let (code, status) = world.util(&["status"]);
    assert_eq!((code, &status["ServerState"]), (0, &json!("Running")), "{status}");
    let elsewhere = tempfile::tempdir().unwrap();
    let (hash, _) = shown_certificate(&world);
    assert_eq!(hash.len(), 59, "{hash}");
    let asked = |more: &[&str]| {
        let mut all = vec!["status", "--password=easy1234"];
        all.extend_from_slice(more);
        let output = world.util_in(elsewhere.path(), &all);
        std::fs::remove_dir_all(elsewhere.path().join(".config")).ok();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said) = asked(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("certificate") && said.contains("--host-cert"),
        "{said}"
    );
    for good in [
        format!("--host-cert={hash}"),
        format!(
            "--host-cert={},{}",
            "00".repeat(20),
            hash.replace(':', "").to_lowercase()
        ),
    ] {
        assert_eq!(asked(&[&good]).0, Some(0), "{good}");
    }
    assert_eq!(asked(&["--host-cert=*"]).0, Some(0));
    assert_eq!(asked(&["--insecure"]).0, Some(0));
    assert_eq!(asked(&[&format!("--host-cert={}", "00".repeat(20))]).0, Some(1));
    assert_eq!(asked(&["--host-cert=12345"]).0, Some(2));
}

#[test]
fn an_authority_that_the_system_trusts_is_trusted() {
    let world = World::start(&["--webservice-password=easy1234", "--configure-https"]).over_https();
    let (_, chain) = shown_certificate(&world);
    let elsewhere = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_duplicati-server-util"))
        .args([
            "status",
            "--password=easy1234",
            &format!("--hosturl={}", world.url),
        ])
        .env("HOME", elsewhere.path())
        .env("SSL_CERT_FILE", chain)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn plain_http_to_a_server_with_https_ends_with_the_way_out() {
    let world = World::start(&["--webservice-password=easy1234", "--configure-https"]);
    let output = world.util_in(world.folder.path(), &["status"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("https://"), "{said}");
}

#[test]
fn the_owner_of_a_postgresql_database_needs_no_password() {
    let cluster = or_skip_unless_demanded("postgresql", "server-util with PostgreSQL", postgres());
    let Some(cluster) = cluster else { return };
    let url = cluster.database("util");
    let world = World::start_with(&["--webservice-password=easy1234"], Some(&url));
    let option = format!("--server-database-url={url}");
    let (code, status) = world.util(&["status", &option]);
    assert_eq!((code, &status["ServerState"]), (0, &json!("Running")), "{status}");
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(
        world.util_in(elsewhere.path(), &["status"]).status.code(),
        Some(2)
    );
}

#[test]
fn help_and_version_need_no_server() {
    for (words, wanted) in [
        (&["help"][..], "list-backups"),
        (&["--help"], "list-backups"),
        (&["-h"], "list-backups"),
        (&["run", "--help"], "list-backups"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_duplicati-server-util"))
            .args(words)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.contains(wanted),
            "{words:?}: {text}"
        );
    }
}
