// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PostgreSQL with a cluster of its own, passwords asked for, and an order of letters that is not that of bytes.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::process::{Missing, Server, command_as, free_port, open_to_all, program};

/// The owner of the cluster, and his password: a text that no message may hold.
const OWNER: &str = "postgres";
const PASSWORD: &str = "pg-secret-5381";
/// Accounts that root may run it as, for it refuses root.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// A running cluster.
pub struct Postgres {
    /// None while it is stopped.
    server: Option<Server>,
    port: u16,
    folder: tempfile::TempDir,
    account: Option<Account>,
}

#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

/// A new cluster.
pub fn postgres() -> Result<Postgres, Missing> {
    let initdb = tool("initdb")?;
    let account = if rustix::process::geteuid().is_root() {
        let found = ACCOUNTS.iter().find_map(|name| account(name));
        Some(found.ok_or_else(|| Missing("PostgreSQL needs an account that is not root".to_owned()))?)
    } else {
        None
    };
    let folder = tempfile::tempdir().map_err(|error| Missing(error.to_string()))?;
    let failed = |error: std::io::Error| Missing(error.to_string());
    open_to_all(folder.path());
    let (data, password) = (folder.path().join("data"), folder.path().join("password"));
    fs::create_dir(&data).map_err(failed)?;
    fs::write(&password, PASSWORD).map_err(failed)?;
    if let Some(account) = account {
        for path in [&data, &password] {
            chown(path, Some(account.user), Some(account.group)).map_err(failed)?;
        }
    }
    let output = command_as(initdb, account.map(|account| (account.user, account.group)))
        .args(["--username", OWNER, "--auth", "scram-sha-256", "--pwfile"])
        .arg(&password)
        .args(["--encoding", "UTF8", "--locale", "C.UTF-8"])
        .args([
            "--locale-provider",
            "icu",
            "--icu-locale",
            "en",
            "--no-sync",
            "--pgdata",
        ])
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(Missing(format!(
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    let mut cluster = Postgres {
        server: None,
        port: free_port(),
        folder,
        account,
    };
    cluster.start()?;
    Ok(cluster)
}

impl Postgres {
    /// Starts it where it was before.
    pub fn start(&mut self) -> Result<(), Missing> {
        let folder = tempfile::tempdir().map_err(|error| Missing(error.to_string()))?;
        let data = self.folder.path().join("data");
        let mut command = command_as(
            tool("postgres")?,
            self.account.map(|account| (account.user, account.group)),
        );
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            // Files of a test need not outlive a power cut.
            .args(["-c", "fsync=off", "-c", "max_connections=200", "-k"])
            .arg(&data);
        self.server = Some(Server::start(command, self.port, folder)?);
        // It listens before it lets anybody in.
        while !self.sql("postgres", "SELECT 1") {
            if self.server.as_mut().is_none_or(|server| !server.is_running()) {
                return Err(Missing("PostgreSQL ended at its start".to_owned()));
            }
        }
        Ok(())
    }

    /// Ends it with all connections.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            // Its way to say: do not wait for clients.
            server.signal(rustix::process::Signal::INT);
        }
    }

    /// A new database and its URL.
    pub fn database(&self, name: &str) -> String {
        assert!(
            self.sql("postgres", &format!("CREATE DATABASE \"{name}\"")),
            "no database {name}"
        );
        self.url(name)
    }

    /// The URL of a database, with the password in it.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://{OWNER}:{PASSWORD}@127.0.0.1:{}/{name}", self.port)
    }

    /// What must never be shown.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Runs a statement in a database and says whether it worked.
    pub fn sql(&self, database: &str, statement: &str) -> bool {
        Command::new("psql")
            .args([&self.url(database), "-qc", statement])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of PostgreSQL; Debian keeps them beside the version.
fn tool(name: &str) -> Result<PathBuf, Missing> {
    let of_versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|path| path.is_file())
        .max();
    of_versions
        .or_else(|| program(name))
        .ok_or_else(|| Missing(format!("{name} is not installed (Debian package postgresql)")))
}

fn account(name: &str) -> Option<Account> {
    let accounts = fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let (user, group) = (fields.nth(1)?, fields.next()?);
        Some(Account {
            user: user.parse().ok()?,
            group: group.parse().ok()?,
        })
    })
}
