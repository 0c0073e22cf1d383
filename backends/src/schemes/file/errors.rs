// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One translation of the kernel's errors into those of the port, with the way out.

use std::path::PathBuf;

use duplicati_engine::storage::{StoreError, StoreErrorKind};
use rustix::io::Errno;

/// What was being done to what; becomes a [`StoreError`] when it fails.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) operation: &'static str,
    pub(super) object: String,
    pub(super) location: String,
    pub(super) path: PathBuf,
}

impl Failure {
    /// The same operation, at another path.
    pub(super) fn at(&self, path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..self.clone()
        }
    }

    pub(super) fn because(&self, kind: StoreErrorKind, message: impl AsRef<str>) -> StoreError {
        StoreError {
            kind,
            operation: self.operation,
            object: self.object.clone(),
            location: self.location.clone(),
            message: format!("{}: {}", self.path.display(), message.as_ref()),
            retry_after: None,
            source: None,
        }
    }

    #[allow(
        clippy::wrong_self_convention,
        reason = "the failure is the context, the errno what it is made from"
    )]
    pub(super) fn from_errno(&self, errno: Errno) -> StoreError {
        let (mut kind, way_out) = describe(errno);
        // A bad place on the disk costs the object that lies there, not the run; while writing, it is a fault of the target.
        if self.operation == "get" && MEDIUM_FAULTS.contains(&errno) {
            kind = StoreErrorKind::Unreadable;
        }
        let system = std::io::Error::from(errno);
        let message = match way_out {
            Some(way_out) => format!("{system}; {way_out}"),
            None => system.to_string(),
        };
        self.because(kind, message).with_source(system)
    }
}

/// What the kernel answers when bytes cannot be read from the medium, do not match the checksums of the file system, or lie behind a link that leads nowhere.
const MEDIUM_FAULTS: [Errno; 4] = [Errno::IO, Errno::BADMSG, Errno::UCLEAN, Errno::LOOP];

fn describe(errno: Errno) -> (StoreErrorKind, Option<&'static str>) {
    match errno {
        Errno::NOENT => (
            StoreErrorKind::NotFound,
            Some("if this is the target's folder, check that its disk is mounted and the path is right"),
        ),
        Errno::EXIST => (StoreErrorKind::AlreadyExists, None),
        Errno::NOSPC => (
            StoreErrorKind::NoSpace,
            Some("free space there (also inodes: df -i), or move the repository to a larger disk"),
        ),
        Errno::DQUOT => (
            StoreErrorKind::NoSpace,
            Some("the quota is used up: raise it or free space"),
        ),
        Errno::ACCESS | Errno::PERM => (
            StoreErrorKind::PermissionDenied,
            Some("give the user that runs the backup the right to read and write there"),
        ),
        Errno::ROFS => (
            StoreErrorKind::PermissionDenied,
            Some(
                "the file system is mounted read-only; mount it for writing, and check the disk if it changed by itself",
            ),
        ),
        Errno::FBIG => (
            StoreErrorKind::Other,
            Some(
                "the file system or a limit (ulimit -f) forbids files this large; use a smaller volume size",
            ),
        ),
        Errno::NOTDIR => (
            StoreErrorKind::Other,
            Some("a file lies where a folder is needed; move it away or choose another path"),
        ),
        Errno::LOOP => (
            StoreErrorKind::Other,
            Some("a symbolic link lies where a file is needed; put the file itself there"),
        ),
        Errno::IO | Errno::BADMSG | Errno::UCLEAN => (
            StoreErrorKind::Other,
            Some("the disk reports a fault; look at the kernel log and check the disk"),
        ),
        // Network file systems that lost their server, and limits of the machine: both pass.
        Errno::STALE
        | Errno::TIMEDOUT
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH
        | Errno::NETUNREACH
        | Errno::NETDOWN
        | Errno::CONNRESET
        | Errno::NOLCK
        | Errno::AGAIN
        | Errno::BUSY
        | Errno::NOMEM
        | Errno::NFILE
        | Errno::MFILE => (StoreErrorKind::Unavailable, None),
        _ => (StoreErrorKind::Other, None),
    }
}
