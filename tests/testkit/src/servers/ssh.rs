// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SFTP servers: OpenSSH with keys, an account and disks of its own; asyncssh; rclone.
//!
//! The account of OpenSSH exists only in a mount namespace of the server, and so do a small disk and a read-only one; so the machine
//! is not changed, and nothing stays however a test ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    Missing, Server, free_port, installed, or_skip,
    process::{command, program, server_folder},
};

/// The account's name.
pub const USER: &str = "backup-test";
/// The account's password; its hash stands in `SHADOW`.
pub const PASSWORD: &str = "hunter2";
/// The passphrase of [`SshServer::protected_key`].
pub const PASSPHRASE: &str = "open sesame";
/// An account number that nobody has.
const USER_ID: u32 = 54_321;
const SHADOW: &str =
    "$6$duplicati$rQYj96ftLGsj840EJNfPSZ6x9QoFIFaWBL3TEJYLpkHtTJjJMrCTfzzRLO8hGYt8.NOD0KZUzzZFa.XAZiHgg/";
/// Room on the small disk.
const SMALL_DISK_BYTES: u32 = 4 << 20;

/// Another kind of server, on asyncssh, for [`USER`] with [`PASSWORD`]; it answers out of order. A bare one offers no extension.
pub fn asyncssh(is_bare: bool) -> Result<Server, Missing> {
    let python = installed().join("asyncssh/bin/python");
    if !python.is_file() {
        return Err(Missing(
            "asyncssh is not installed; run tests/servers/prepare".to_owned(),
        ));
    }
    let (folder, port) = (server_folder(), free_port());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers/sftp_server.py");
    let mut command = command(python);
    command
        .arg(script)
        .arg(port.to_string())
        .arg(folder.path().join("root"));
    if is_bare {
        command.arg("bare");
    }
    Server::start(command, port, folder)
}

/// `rclone serve sftp`, for [`USER`] with [`PASSWORD`]; its rename replaces.
pub fn rclone() -> Result<Server, Missing> {
    let path = program("rclone")
        .ok_or_else(|| Missing("rclone is not installed (Debian package rclone)".to_owned()))?;
    let (folder, port) = (server_folder(), free_port());
    let mut command = command(path);
    command
        .args(["serve", "sftp", "--user", USER, "--pass", PASSWORD, "--addr"])
        .arg(format!("127.0.0.1:{port}"))
        .args(["--dir-cache-time", "0s"])
        .arg(folder.path().join("root"))
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .env("XDG_CONFIG_HOME", folder.path().join("config"));
    Server::start(command, port, folder)
}

/// A server that runs.
pub struct SshServer {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl SshServer {
    /// Starts a server; none, with the reason printed, where that is not possible.
    pub fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/sshd").exists() {
            return or_skip(
                "OpenSSH",
                Err(Missing(
                    "it needs root and the Debian package openssh-server".to_owned(),
                )),
            );
        }
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let port = free_port();
        let process = spawn(folder.path(), port);
        let server = Self {
            folder,
            port,
            process,
        };
        server.wait_until_it_answers();
        Some(server)
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not start: {}", self.log());
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the account, which the account may write to.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A private key that the account accepts.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("user_ed25519")
    }

    /// An RSA key that the account accepts.
    pub fn rsa_key(&self) -> PathBuf {
        self.folder.path().join("user_rsa")
    }

    /// The first key under [`PASSPHRASE`].
    pub fn protected_key(&self) -> PathBuf {
        self.folder.path().join("user_protected")
    }

    /// What ssh-keygen says of the host key of a kind (`ed25519`, `rsa`), without remark and kind.
    pub fn fingerprint(&self, kind: &str, hash: &str) -> String {
        let file = self.folder.path().join(format!("host_{kind}.pub"));
        let output = Command::new("ssh-keygen")
            .args(["-E", hash, "-lf"])
            .arg(file)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut words = text.split_whitespace();
        let (bits, hash) = (words.next().unwrap(), words.next().unwrap());
        format!("ssh-{kind} {bits} {hash}")
    }

    /// A `known_hosts` file with the server's keys.
    pub fn known_hosts(&self) -> PathBuf {
        let file = self.folder.path().join("known_hosts");
        let key = fs::read_to_string(self.folder.path().join("host_ed25519.pub")).unwrap();
        fs::write(&file, format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
        file
    }

    /// What the server wrote about itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Connections that are logged in now.
    pub fn connections(&self) -> usize {
        children(self.process.id()).len()
    }

    /// Kills every connection at once; the server goes on. Returns how many processes were ended.
    pub fn kill_connections(&self) -> usize {
        // All of them before the first is killed: the children of a dead process belong to another one, and would be missed.
        let mut descendants = Vec::new();
        let mut parents = vec![self.process.id()];
        while let Some(parent) = parents.pop() {
            let children = children(parent);
            parents.extend(&children);
            descendants.extend(children);
        }
        let kill = |id: &&u32| {
            let process = rustix::process::Pid::from_raw(**id as i32).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).is_ok()
        };
        descendants.iter().filter(kill).count()
    }

    /// Ends the server and all connections.
    pub fn stop(&mut self) {
        self.kill_connections();
        let _ended_already = self.process.kill();
        let _status = self.process.wait();
    }

    /// Starts the server again on the same port.
    pub fn start_again(&mut self) {
        self.process = spawn(self.folder.path(), self.port);
        self.wait_until_it_answers();
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn children(parent: u32) -> Vec<u32> {
    let file = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

fn make_key(file: &Path, kind: &str, passphrase: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-f"])
        .arg(file)
        .status();
    assert!(status.unwrap().success());
}

fn prepare(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
    let in_folder = |name: &str| folder.join(name);
    for (name, kind) in [
        ("host_ed25519", "ed25519"),
        ("host_rsa", "rsa"),
        ("user_ed25519", "ed25519"),
        ("user_rsa", "rsa"),
    ] {
        make_key(&in_folder(name), kind, "");
    }
    make_key(&in_folder("user_protected"), "ed25519", PASSPHRASE);
    let public = ["user_ed25519.pub", "user_rsa.pub", "user_protected.pub"];
    let authorized: String = public
        .map(|name| fs::read_to_string(in_folder(name)).unwrap())
        .concat();
    fs::write(in_folder("authorized_keys"), authorized).unwrap();
    for name in ["home", "home/small", "home/frozen"] {
        fs::create_dir(in_folder(name)).unwrap();
        chown(in_folder(name), Some(USER_ID), Some(USER_ID)).unwrap();
    }
    let home = in_folder("home");
    let account = |line: String, file: &str| {
        let others = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        fs::write(in_folder(file), format!("{}\n{line}\n", others.trim_end())).unwrap();
    };
    account(
        format!("{USER}:x:{USER_ID}:{USER_ID}::{}:/bin/sh", home.display()),
        "passwd",
    );
    account(format!("{USER}:{SHADOW}:19000:0:99999:7:::"), "shadow");
}

fn spawn(folder: &Path, port: u16) -> Child {
    let shown = folder.display();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host_ed25519\nHostKey {shown}/host_rsa\nPidFile none\n\
         AuthorizedKeysFile {shown}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication yes\n\
         Subsystem sftp internal-sftp\nMaxSessions 50\nMaxStartups 100\nLogLevel VERBOSE\nLoginGraceTime 30\n"
    );
    fs::write(folder.join("config"), config).unwrap();
    let script = format!(
        "mkdir -p /run/sshd && mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/shadow\" /etc/shadow && \
         mount -t tmpfs -o size={SMALL_DISK_BYTES},uid={USER_ID},mode=700 none \"$1/home/small\" && \
         mount -t tmpfs -o ro none \"$1/home/frozen\" && \
         exec /usr/sbin/sshd -D -f \"$1/config\" -E \"$1/log\""
    );
    command("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(folder)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}
