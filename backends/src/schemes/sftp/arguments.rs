// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an SFTP store needs to know: where, as whom, and what to trust.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use secrecy::SecretString;

use super::host_key::HostKeyPolicy;
use crate::transfer::Limits;

/// The port of ssh.
pub const DEFAULT_PORT: u16 = 22;
/// Silence after which an idle connection is asked whether it lives, unless chosen.
pub const KEEPALIVE_DEFAULT: Duration = Duration::from_secs(20);
/// How long a server may leave all requests unanswered, unless chosen. A disk that spins up or a busy array takes its time;
/// but a connection must be given up before whoever waits for a single request gives up that one.
pub const SILENCE_DEFAULT: Duration = Duration::from_secs(25);
/// Shortest time that may be chosen for an answer; below, a busy server would look like a dead one.
pub const SILENCE_MIN: Duration = Duration::from_secs(2);

/// A private key for the login.
#[derive(Debug, Clone)]
pub enum LoginKey {
    /// In a file.
    File(PathBuf),
    /// The key itself.
    Text(SecretString),
}

/// Everything about one SFTP target.
#[derive(Debug, Clone)]
pub struct SftpArguments {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// Password of the login, or the passphrase of the key.
    pub password: Option<SecretString>,
    /// Key of the login.
    pub key: Option<LoginKey>,
    /// The socket of an ssh agent that may be asked.
    pub agent: Option<PathBuf>,
    /// Which host key is the right one.
    pub host_key: HostKeyPolicy,
    /// The folder at the server: absolute, or relative to where the login begins.
    pub root: Bytes,
    /// How long the server may leave requests unanswered.
    pub silence: Duration,
    /// Silence after which an idle connection is asked whether it lives; none to never ask.
    pub keepalive: Option<Duration>,
    /// How fast bytes may move.
    pub limits: Arc<Limits>,
}

impl SftpArguments {
    /// Where it is, for messages.
    pub fn location(&self) -> String {
        let port = match self.port {
            DEFAULT_PORT => String::new(),
            port => format!(":{port}"),
        };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let root = String::from_utf8_lossy(&self.root);
        let slash = if root.starts_with('/') { "" } else { "/" };
        let relative = if root.starts_with('/') {
            ""
        } else {
            " (below the login's folder)"
        };
        let root = if root == "." { "" } else { &root };
        format!("ssh://{}@{host}{port}{slash}{root}{relative}", self.user)
    }
}
