// SPDX-License-Identifier: Apache-2.0 OR MIT
//! HTTPS with real certificates, made by openssl, and a client that checks them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
};

use reqwest::header;
use serde_json::json;
use support::{Client, PASSWORD, PATIENCE, Server, World};

/// An authority and what it signs, in files of a world.
struct Pki<'a> {
    world: &'a World,
}

impl<'a> Pki<'a> {
    fn new(world: &'a World) -> Self {
        let pki = Self { world };
        pki.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=Test-CA -keyout ca.key -out ca.crt");
        pki
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.world.folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Makes `name.key` and `name.crt` for localhost.
    fn sign(&self, name: &str, algorithm: &str, days: &str) {
        self.openssl(&format!(
            "req -newkey {algorithm} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        std::fs::write(
            self.world.path("extensions"),
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        )
        .unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile extensions -out {name}.crt {days}"
        ));
    }

    /// Puts files behind each other.
    fn join(&self, parts: &[&str], whole: &str) -> PathBuf {
        let bytes: Vec<u8> = parts
            .iter()
            .flat_map(|part| std::fs::read(self.world.path(part)).unwrap())
            .collect();
        std::fs::write(self.world.path(whole), bytes).unwrap();
        self.world.path(whole)
    }

    fn start(&self, more: &[&str]) -> Server {
        let mut all = vec!["--webservice-password=easy1234", "--disable-db-encryption"];
        all.extend_from_slice(more);
        self.world.start_with(&all)
    }

    fn start_with_file(&self, file: &str, password: Option<&str>) -> Server {
        let file = format!("--webservice-sslcertificatefile={}", self.world.text(file));
        let password = password.map(|password| format!("--webservice-sslcertificatepassword={password}"));
        let arguments: Vec<&str> = std::iter::once(file.as_str())
            .chain(password.as_deref())
            .collect();
        self.start(&arguments)
    }

    /// What a start that must fail says.
    fn refused(&self, file: &str, password: &[&str]) -> String {
        let file = format!("--webservice-sslcertificatefile={}", self.world.text(file));
        let mut arguments = vec!["--webservice-port=0", "--disable-db-encryption", &file];
        arguments.extend_from_slice(password);
        let output = self.world.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(100), "{file}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// A client that trusts one authority and no other.
fn trusting(server: &Server, authority: &str) -> Client {
    let mut client = Client::new(server);
    let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
    client.http = reqwest::Client::builder()
        .tls_certs_only([authority])
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    client.base = format!("https://localhost:{}", server.port);
    client
}

fn authority(world: &World) -> String {
    std::fs::read_to_string(world.path("ca.crt")).unwrap()
}

/// What openssl says about the certificate that a server shows.
fn shown_serial(server: &Server) -> String {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "openssl s_client -connect 127.0.0.1:{} </dev/null 2>/dev/null | openssl x509 -noout -serial",
            server.port
        ))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn serial_of(world: &World, name: &str) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-in", &world.text(name)])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn assert_signs_in(client: &Client) {
    let answer = client
        .post("/api/v1/auth/login", json!({"Password": PASSWORD}))
        .await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_client_that_checks_the_certificate_gets_in_and_one_of_another_authority_does_not() {
    let world = World::new();
    let pki = Pki::new(&world);
    pki.sign("server", "rsa:2048", "-days 20");
    pki.join(&["server.key", "ca.crt", "server.crt"], "server.pem");
    let server = pki.start_with_file("server.pem", None);
    let client = trusting(&server, &authority(&world));
    let answer = client
        .post("/api/v1/auth/login", json!({"Password": PASSWORD}))
        .await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; secure"), "{cookie}");
    let token = answer.json::<serde_json::Value>().await.unwrap()["AccessToken"]
        .as_str()
        .map(str::to_owned);
    let client = Client { token, ..client };
    let settings = client.got("/api/v1/serversettings").await;
    assert_eq!(settings["server-ssl-certificate"], "True");
    assert!(!settings.to_string().contains("PRIVATE KEY"));
    let other = World::new();
    let other_pki = Pki::new(&other);
    let stranger = trusting(&server, &authority(other_pki.world));
    assert!(
        stranger
            .http
            .get(format!("{}/health", stranger.base))
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn over_plain_http_the_cookie_is_not_kept_back() {
    let world = World::new();
    let server = world.start();
    let client = Client::new(&server);
    let answer = client
        .post("/api/v1/auth/login", json!({"Password": PASSWORD}))
        .await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(!cookie.to_ascii_lowercase().contains("secure"), "{cookie}");
}

#[tokio::test]
async fn pkcs12_files_of_new_and_old_ciphers_and_encrypted_keys_are_read() {
    let world = World::new();
    let pki = Pki::new(&world);
    pki.sign("server", "rsa:2048", "-days 20");
    pki.openssl(
        "pkcs12 -export -inkey server.key -in server.crt -certfile ca.crt -passout pass:pw-1 -out new.pfx",
    );
    pki.openssl("pkcs12 -export -inkey server.key -in server.crt -passout pass:pw-2 -out old.pfx -legacy");
    pki.openssl("pkcs12 -export -inkey server.key -in server.crt -passout pass: -out open.pfx");
    pki.openssl("pkcs8 -topk8 -in server.key -passout pass:pw-3 -out sealed.key");
    pki.join(&["server.crt", "sealed.key"], "sealed.pem");
    for (file, password) in [
        ("new.pfx", Some("pw-1")),
        ("old.pfx", Some("pw-2")),
        ("open.pfx", None),
        ("sealed.pem", Some("pw-3")),
    ] {
        let server = pki.start_with_file(file, password);
        assert_signs_in(&trusting(&server, &authority(&world))).await;
        assert!(server.terminate().success());
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_its_reason_and_no_secret() {
    let world = World::new();
    let pki = Pki::new(&world);
    pki.sign("server", "rsa:2048", "-days 20");
    pki.sign("other", "ec -pkeyopt ec_paramgen_curve:prime256v1", "-days 20");
    pki.openssl("pkcs12 -export -inkey server.key -in server.crt -passout pass:right-one -out server.pfx");
    pki.openssl("pkcs8 -topk8 -in server.key -passout pass:right-one -out sealed.key");
    pki.openssl("rsa -in server.key -traditional -aes128 -passout pass:right-one -out old.key");
    pki.join(&["server.crt", "sealed.key"], "sealed.pem");
    pki.join(&["server.crt", "old.key"], "old.pem");
    pki.join(&["server.crt", "other.key"], "mixed.pem");
    std::fs::write(world.path("garbage"), "no certificate at all").unwrap();
    std::fs::write(
        world.path("cut.pfx"),
        &std::fs::read(world.path("server.pfx")).unwrap()[..700],
    )
    .unwrap();
    std::fs::create_dir(world.path("folder")).unwrap();
    let wrong = "--webservice-sslcertificatepassword=wrong-one";
    for (file, password, reason) in [
        ("server.pfx", &[wrong][..], "the password does not open it"),
        ("server.pfx", &[], "protected by a password"),
        ("sealed.pem", &[wrong], "the password does not open it"),
        ("old.pem", &[wrong], "openssl pkcs8"),
        ("missing.pem", &[], "No such file"),
        ("folder", &[], "it is not a file"),
        ("garbage", &[], "neither PKCS#12"),
        ("cut.pfx", &[wrong], "damaged"),
        ("server.crt", &[], "holds no private key"),
        ("server.key", &[], "holds no certificate"),
        ("mixed.pem", &[], "belongs to none of its certificates"),
    ] {
        let said = pki.refused(file, password);
        assert!(
            said.contains(reason) && said.contains("CertificateUnusable"),
            "{file}: {said}"
        );
        assert!(said.contains(file), "{said}");
        assert!(
            !said.contains("wrong-one") && !said.contains("right-one"),
            "{said}"
        );
    }
    let lonely = ["--webservice-port=0", "--disable-db-encryption", wrong];
    assert_eq!(world.command(&lonely).output().unwrap().status.code(), Some(200));
}

#[tokio::test]
async fn an_expired_certificate_is_served_with_a_warning() {
    let world = World::new();
    let pki = Pki::new(&world);
    pki.sign("old", "rsa:2048", "-days 0");
    pki.join(&["old.crt", "old.key"], "old.pem");
    let log = format!("--log-file={}", world.text("log"));
    let file = format!("--webservice-sslcertificatefile={}", world.text("old.pem"));
    let server = pki.start(&[&log, &file]);
    assert_eq!(shown_serial(&server), serial_of(&world, "old.crt"));
    let said = std::fs::read_to_string(world.path("log")).unwrap();
    assert!(said.contains("the certificate for HTTPS"), "{said}");
}

#[tokio::test]
async fn the_certificate_is_remembered_until_it_is_removed_and_https_can_be_switched_off() {
    let world = World::new();
    let pki = Pki::new(&world);
    pki.sign("server", "rsa:2048", "-days 20");
    pki.join(&["server.crt", "server.key"], "server.pem");
    pki.start_with_file("server.pem", None).terminate();
    std::fs::remove_file(world.path("server.pem")).unwrap();
    let server = pki.start(&[]);
    assert_signs_in(&trusting(&server, &authority(&world))).await;
    server.terminate();
    let server = pki.start(&["--webservice-disable-https"]);
    assert_signs_in(&Client::new(&server)).await;
    server.terminate();
    let server = pki.start(&[]);
    assert_signs_in(&trusting(&server, &authority(&world))).await;
    server.terminate();
    pki.start(&["--webservice-remove-sslcertificate"]).terminate();
    let server = pki.start(&[]);
    assert_signs_in(&Client::new(&server)).await;
}

#[tokio::test]
async fn a_renewed_file_is_served_without_a_new_start_and_a_broken_one_changes_nothing() {
    let world = World::new();
    let pki = Pki::new(&world);
    for name in ["one", "two"] {
        pki.sign(name, "ec -pkeyopt ec_paramgen_curve:prime256v1", "-days 20");
    }
    pki.join(&["one.crt", "one.key"], "served.pem");
    let log = format!("--log-file={}", world.text("log"));
    let file = format!("--webservice-sslcertificatefile={}", world.text("served.pem"));
    let server = pki.start(&[&log, &file]);
    assert_eq!(shown_serial(&server), serial_of(&world, "one.crt"));
    std::fs::write(world.path("served.pem"), "half of a new one").unwrap();
    let until = async |is_so: &dyn Fn() -> bool| {
        let wait = async {
            while !is_so() {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    };
    until(&|| {
        std::fs::read_to_string(world.path("log"))
            .unwrap()
            .contains("stays as it is")
    })
    .await;
    assert_eq!(shown_serial(&server), serial_of(&world, "one.crt"));
    pki.join(&["two.crt", "two.key"], "served.pem");
    until(&|| shown_serial(&server) == serial_of(&world, "two.crt")).await;
    assert_signs_in(&trusting(&server, &authority(&world))).await;
}

#[tokio::test]
async fn an_own_authority_is_made_once_and_signs_for_the_names_that_were_asked_for() {
    let world = World::new();
    let configure = [
        "--configure-https",
        "--configure-https-hostnames=localhost,127.0.0.1,backup.example",
    ];
    let mut server = world.start_with(&[&["--disable-db-encryption"][..], &configure].concat());
    let link = server.line("/signin.html?token=");
    assert!(
        link.contains(&format!("https://localhost:{}", server.port)),
        "{link}"
    );
    let authority = own_authority(&server);
    let client = trusting(&server, &authority);
    let token = link.rsplit("token=").next().unwrap().to_owned();
    client
        .posted("/api/v1/auth/signin", json!({"SigninToken": token}))
        .await;
    let first = shown_serial(&server);
    server.terminate();
    let server = world.start_with(&[&["--disable-db-encryption"][..], &configure].concat());
    assert_eq!(shown_serial(&server), first);
    for wrong in [
        "--configure-https-hostnames=a b",
        "--configure-https-hostnames=https://x",
    ] {
        let fresh = World::new();
        let output = fresh
            .command(&["--webservice-port=0", "--configure-https", wrong])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(200), "{wrong}");
    }
}

/// The last certificate of the chain that a server shows.
fn own_authority(server: &Server) -> String {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "openssl s_client -showcerts -connect 127.0.0.1:{} </dev/null 2>/dev/null",
            server.port
        ))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let begin = text.rfind("-----BEGIN CERTIFICATE-----").unwrap();
    let end = text.rfind("-----END CERTIFICATE-----").unwrap();
    format!("{}-----END CERTIFICATE-----\n", &text[begin..end])
}

#[tokio::test]
async fn plain_http_on_the_port_of_https_is_told_so_and_silent_peers_keep_nobody_waiting() {
    let world = World::new();
    let pki = Pki::new(&world);
    pki.sign("server", "rsa:2048", "-days 20");
    pki.join(&["server.crt", "server.key"], "server.pem");
    let server = pki.start_with_file("server.pem", None);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(("127.0.0.1", server.port)).unwrap());
    }
    let mut plain = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    plain
        .write_all(b"GET /api/v1/serverstate HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("https:// in front"), "{answer}");
    assert_signs_in(&trusting(&server, &authority(&world))).await;
    let mut ended = silent.pop().unwrap();
    ended.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(
        ended.read(&mut [0; 16]).unwrap(),
        0,
        "a silent peer is let go in the end"
    );
}

#[tokio::test]
async fn the_key_is_sealed_in_the_database() {
    let world = World::new();
    let key = "--settings-encryption-key=key number one";
    world.start_with(&[key, "--configure-https"]).terminate();
    if world.database_url.is_none() {
        for name in ["Duplicati-server.sqlite", "Duplicati-server.sqlite-wal"] {
            let bytes = std::fs::read(world.path("home/.config/Duplicati").join(name)).unwrap_or_default();
            assert!(
                !bytes.windows(11).any(|window| window == b"PRIVATE KEY"),
                "{name}"
            );
        }
    }
    world.start_with(&[key]).terminate();
}
