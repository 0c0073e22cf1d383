// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server process: found, started, waited for, and ended.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use duplicati_engine::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a server to listen; Python on a busy machine takes some seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks whether it listens.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A server that cannot be started here.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Its files; what it serves lies in `root` below.
    pub folder: tempfile::TempDir,
}

impl Server {
    /// The folder that the server serves.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// What the server has written to its standard output and error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ended_already = kill_process(id, signal).is_err();
        }
    }

    /// Whether it has not ended by itself.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Starts a program and waits until it listens.
    pub(super) fn start(mut command: Command, port: u16, folder: tempfile::TempDir) -> Result<Self, Missing> {
        let log = File::create(folder.path().join("log"))
            .map_err(|error| Missing(format!("no log file: {error}")))?;
        let log_again = log
            .try_clone()
            .map_err(|error| Missing(format!("no log file: {error}")))?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_again)
            .spawn()
            .map_err(|error| Missing(format!("failed to start {name}: {error}")))?;
        let mut server = Self { child, port, folder };
        let begin = SystemClock.monotonic();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(Missing(format!("{name} ended with {status}: {}", server.log())));
            }
            if SystemClock.monotonic() - begin > START_TIMEOUT {
                return Err(Missing(format!("{name} does not listen: {}", server.log())));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A request to end first: servers with child processes end those as well.
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let asked = id.is_some_and(|id| kill_process(id, Signal::TERM).is_ok());
        if !asked {
            let _ended_already = self.child.kill();
        }
        let _status = self.child.wait();
    }
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

/// A program by its name in `PATH` and the usual folders of the system.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// A command that ends with the process that starts it, even when that is killed.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let Some(setpriv) = self::program("setpriv") else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// The same as another user, if one is named by user and group.
pub(super) fn command_as(program: impl AsRef<OsStr>, account: Option<(u32, u32)>) -> Command {
    let Some((user, group)) = account else {
        return command(program);
    };
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "TERM", "--clear-groups"])
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={group}"))
        .arg("--")
        .arg(program)
        // A folder of root's is none that it could be in.
        .current_dir("/");
    command
}

/// A new folder for a server, with `root` in it.
pub(super) fn server_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    std::fs::create_dir(folder.path().join("root")).expect("a fresh folder takes a folder");
    open_to_all(folder.path());
    folder
}

/// Servers that run as another user must get in.
pub(super) fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own folder");
}
