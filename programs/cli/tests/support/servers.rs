// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Real servers that take reports: a web server in the test, and a mail server of another make.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// How long a report may take to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// A web server that says yes to everything.
pub struct WebServer {
    pub address: String,
    requests: Receiver<String>,
}

impl WebServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let _listening = sender.send(head + "\n" + &String::from_utf8_lossy(&body));
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).unwrap();
            }
        });
        Self { address, requests }
    }

    /// The next request: head, empty line, body.
    pub fn request(&self) -> String {
        self.requests.recv_timeout(ARRIVAL_TIMEOUT).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        let request = self.request();
        serde_json::from_str(
            request
                .split_once("\n\n")
                .or(request.split_once("\r\n\n"))
                .unwrap()
                .1,
        )
        .unwrap()
    }

    /// Whether nothing has come.
    pub fn is_idle(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

/// The mail server `aiosmtpd` with a user `me` and password `hunter2`, which prints what it takes.
pub struct MailServer {
    pub port: u16,
    child: Child,
    lines: Receiver<String>,
}

/// Takes a port, says that it is ready, and prints each mail with a line at its end.
const PROGRAM: &str = r#"
import ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
class Printer:
    async def handle_DATA(self, server, session, envelope):
        print("FROM", envelope.mail_from, flush=True)
        print("TO", ",".join(envelope.rcpt_tos), flush=True)
        print("AUTH", session.authenticated, flush=True)
        print("TLS", session.ssl is not None, flush=True)
        print(envelope.content.decode(), flush=True)
        print("END", flush=True)
        return "250 OK"
def check(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b"me", b"hunter2")
    return AuthResult(success=right, handled=right)
controller = Controller(Printer(), hostname="127.0.0.1", port=int(sys.argv[1]), authenticator=check,
                        auth_required=sys.argv[2] == "auth", auth_require_tls=False)
controller.start()
print("READY", flush=True)
time.sleep(600)
"#;

impl MailServer {
    pub fn start(needs_password: bool) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mode = if needs_password { "auth" } else { "open" };
        let mut child = Command::new(python())
            .args(["-c", PROGRAM, &port.to_string(), mode])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let _listening = sender.send(line.unwrap_or_default());
            }
        });
        let server = Self { port, child, lines };
        assert_eq!(server.lines.recv_timeout(ARRIVAL_TIMEOUT).unwrap(), "READY");
        server
    }

    /// The next mail.
    pub fn mail(&self) -> String {
        let mut mail = String::new();
        loop {
            let line = self.lines.recv_timeout(ARRIVAL_TIMEOUT).unwrap();
            if line == "END" {
                return mail;
            }
            mail.push_str(line.trim_end());
            mail.push('\n');
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _gone_or_not = self.child.kill();
        let _gone_or_not = self.child.wait();
    }
}

fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/reader-venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run tests/reader/prepare first, as tests/run does",
        python.display()
    );
    python
}
