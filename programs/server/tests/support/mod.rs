// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Starts the real server in a temporary world, and talks to it as clients do.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

use reqwest::{Method, Response, header};
use serde_json::{Value, json};

pub const PASSWORD: &str = "easy1234";
/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A PostgreSQL server on which each world gets a database of its own; without it the server database is SQLite.
const POSTGRES: &str = "DUPLICATI_TEST_POSTGRES_URL";

/// A home, sources, destinations.
pub struct World {
    pub folder: tempfile::TempDir,
    /// The server database, when it is not the file in the data folder.
    pub database_url: Option<String>,
}

impl World {
    pub fn new() -> Self {
        Self::with_database(std::env::var(POSTGRES).ok().map(|url| new_database(&url)))
    }

    /// A world whose server keeps what it knows in a database of a URL.
    pub fn with_database(database_url: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, database_url };
        std::fs::create_dir_all(world.path("source/sub")).unwrap();
        std::fs::write(world.path("source/a.txt"), "hello\n").unwrap();
        std::fs::write(world.path("source/sub/b.bin"), vec![7_u8; 300_000]).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_duplicati-server"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", "/usr/bin:/bin")
            .envs(
                self.database_url
                    .iter()
                    .map(|url| ("DUPLICATI__SERVER_DATABASE_URL", url)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a server with a known password, on a free port.
    pub fn start(&self) -> Server {
        self.start_with(&["--webservice-password=easy1234", "--disable-db-encryption"])
    }

    pub fn start_with(&self, arguments: &[&str]) -> Server {
        let mut all = vec!["--webservice-port=0"];
        all.extend_from_slice(arguments);
        Server::start(self.command(&all))
    }
}

/// Makes a database beside that of a URL, and gives its URL.
fn new_database(url: &str) -> String {
    let name = format!("duplicati_{:016x}", rand::random::<u64>());
    let made = Command::new("psql")
        .args([url, "-qc", &format!("CREATE DATABASE {name}")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// A running server.
pub struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub seen: Vec<String>,
    pub port: u16,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut server = Self {
            child,
            lines,
            seen: Vec::new(),
            port: 0,
        };
        let line = server.line("is listening on");
        server.port = line.rsplit(' ').next().unwrap().parse().unwrap();
        server
    }

    /// The next line of output that holds a text.
    pub fn line(&mut self, part: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(error) => {
                    let mut errors = String::new();
                    let _unreadable = self
                        .child
                        .stderr
                        .take()
                        .map(|mut stderr| std::io::Read::read_to_string(&mut stderr, &mut errors));
                    panic!(
                        "{part:?} did not come ({error}); output: {:?}, errors: {errors}",
                        self.seen
                    );
                }
            }
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks the server to end, and waits.
    pub fn terminate(mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// Ends the server as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// A client, signed in or not.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    pub token: Option<String>,
}

impl Client {
    pub fn new(server: &Server) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        Self {
            http: reqwest::Client::new(),
            base: server.url(),
            token: None,
        }
    }

    /// Signs in with the password of tests.
    pub async fn signed_in(server: &Server) -> Self {
        let mut client = Self::new(server);
        let answer = client
            .post("/api/v1/auth/login", json!({"Password": PASSWORD}))
            .await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        client.token = Some(body["AccessToken"].as_str().unwrap().to_owned());
        client
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.timeout(PATIENCE).send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, Some(body)).await
    }

    /// An answer with status 200, as JSON; null when it is empty.
    #[track_caller]
    pub fn good(&self, method: Method, path: &str, body: Option<Value>) -> impl Future<Output = Value> {
        let client = self.clone();
        let path = path.to_owned();
        async move {
            let response = client.send(method.clone(), &path, body).await;
            let status = response.status();
            let text = response.text().await.unwrap();
            assert_eq!(status, 200, "{method} {path}: {text}");
            if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            }
        }
    }

    pub async fn got(&self, path: &str) -> Value {
        self.good(Method::GET, path, None).await
    }

    pub async fn posted(&self, path: &str, body: Value) -> Value {
        self.good(Method::POST, path, Some(body)).await
    }

    /// A failed answer with its status and text.
    pub async fn refused(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let response = self.send(method, path, body).await;
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap_or(Value::Null);
        if !body.is_null() {
            assert_eq!(body["Code"], status);
        }
        (status, body["Error"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits for the end of a task and gives its state.
    pub async fn ended(&self, task: &Value) -> Value {
        let id = task["ID"].as_u64().unwrap_or_else(|| panic!("no task in {task}"));
        let path = format!("/api/v1/task/{id}");
        let wait = async {
            loop {
                let state = self.got(&path).await;
                if !state["TaskFinished"].is_null() {
                    return state;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }

    /// Waits for the good end of a task.
    pub async fn completed(&self, task: &Value) {
        let state = self.ended(task).await;
        assert_eq!(state["Status"], "Completed", "{state}");
        assert!(state["ErrorMessage"].is_null(), "{state}");
    }

    /// Makes a job and gives its id.
    pub async fn job(&self, world: &World, name: &str) -> String {
        let made = self.posted("/api/v1/backups", job(world, name)).await;
        assert_eq!(made["Temporary"], false);
        made["ID"].as_str().unwrap().to_owned()
    }
}

/// A job as the web client sends it.
pub fn job(world: &World, name: &str) -> Value {
    json!({
        "Backup": {
            "Name": name, "Description": "", "Tags": [],
            "TargetURL": format!("file://{}", world.text("destination")),
            "Sources": [world.text("source/")],
            "Settings": [
                {"Name": "encryption-module", "Value": "aes"},
                {"Name": "passphrase", "Value": "correct horse"},
                {"Name": "keep-time", "Value": ""},
                {"Name": "--no-auto-compact", "Value": "True"},
            ],
            "Filters": [{"Order": 0, "Include": false, "Expression": "*.tmp"}],
        },
        "Schedule": null,
    })
}

/// Compares two trees byte for byte.
pub fn assert_same(left: &Path, right: &Path) {
    let output = Command::new("diff")
        .arg("-r")
        .args([left, right])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
