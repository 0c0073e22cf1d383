// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One translation of what servers and networks say into the errors of the port, with the way out.

use bytes::Bytes;
use duplicati_engine::storage::{StoreError, StoreErrorKind};

use super::{
    reply::{Malformed, Refusal, Status, code},
    session::Broken,
};

/// What stopped an operation, before it is known which one it was.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection ended; another one may work.
    Broken(Broken),
    /// The server refused something about a path.
    Refused { refusal: Refusal, path: Bytes },
    /// Decided by us.
    Told { kind: StoreErrorKind, message: String },
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Trouble {
    pub(super) fn told(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self::Told {
            kind,
            message: message.into(),
        }
    }

    /// Something that passes by itself.
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self::told(StoreErrorKind::Unavailable, message)
    }

    /// The code that the server gave, where it gave one.
    pub(super) fn code(&self) -> Option<u32> {
        match self {
            Self::Refused {
                refusal: Refusal::Status(status),
                ..
            } => Some(status.code),
            _ => None,
        }
    }

    pub(super) fn is_no_such_file(&self) -> bool {
        self.code() == Some(code::NO_SUCH_FILE)
    }

    /// The server gave no reason.
    pub(super) fn is_plain_failure(&self) -> bool {
        self.code() == Some(code::FAILURE) && self.kind() == StoreErrorKind::Other
    }

    pub(super) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Broken(_) => StoreErrorKind::Unavailable,
            Self::Refused {
                refusal: Refusal::Status(status),
                ..
            } => describe(status).0,
            // A stream that is out of step is of no use; a new connection may be.
            Self::Refused {
                refusal: Refusal::Malformed(_),
                ..
            } => StoreErrorKind::Unavailable,
            Self::Told { kind, .. } => *kind,
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Broken(broken) => broken.to_string(),
            Self::Refused { refusal, path } => {
                let path = String::from_utf8_lossy(path);
                match refusal {
                    Refusal::Malformed(malformed) => format!("{path}: {malformed}"),
                    Refusal::Status(status) => {
                        let said = match status.message.as_str() {
                            "" => format!("error code {}", status.code),
                            said => said.to_owned(),
                        };
                        match describe(status).1 {
                            Some(way_out) => format!("{path}: {said}; {way_out}"),
                            None => format!("{path}: {said}"),
                        }
                    }
                }
            }
            Self::Told { message, .. } => message.clone(),
        }
    }
}

/// Says which path an answer was about.
pub(super) trait About<T> {
    fn about(self, path: &Bytes) -> Result<T, Trouble>;
}

impl<T> About<T> for Result<T, Refusal> {
    fn about(self, path: &Bytes) -> Result<T, Trouble> {
        self.map_err(|refusal| Trouble::Refused {
            refusal,
            path: path.clone(),
        })
    }
}

impl<T> About<T> for Result<T, Malformed> {
    fn about(self, path: &Bytes) -> Result<T, Trouble> {
        self.map_err(Refusal::from).about(path)
    }
}

/// What was being done to what; becomes a [`StoreError`] when it fails.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) operation: &'static str,
    pub(super) object: String,
    pub(super) location: String,
}

impl Failure {
    pub(super) fn of(&self, trouble: &Trouble) -> StoreError {
        StoreError {
            kind: trouble.kind(),
            operation: self.operation,
            object: self.object.clone(),
            location: self.location.clone(),
            message: trouble.message(),
            retry_after: None,
            source: None,
        }
    }
}

/// Said by servers that have no code for a full disk.
const NO_SPACE_WORDS: [&str; 4] = ["no space", "disk full", "quota", "not enough space"];

const NO_SPACE_WAY_OUT: &str = "free space there, raise the quota, or move the repository to a larger disk";

fn describe(status: &Status) -> (StoreErrorKind, Option<&'static str>) {
    match status.code {
        code::NO_SUCH_FILE => (
            StoreErrorKind::NotFound,
            Some(
                "if this is the target's folder, check the path: without --ssh-relative-path it starts at the server's root",
            ),
        ),
        code::PERMISSION_DENIED => (
            StoreErrorKind::PermissionDenied,
            Some("give the user of the login the right to read and write there"),
        ),
        code::WRITE_PROTECTED => (
            StoreErrorKind::PermissionDenied,
            Some("the server's file system is read-only; mount it for writing"),
        ),
        code::NO_SPACE | code::QUOTA_EXCEEDED => (StoreErrorKind::NoSpace, Some(NO_SPACE_WAY_OUT)),
        code::ALREADY_EXISTS => (StoreErrorKind::AlreadyExists, None),
        code::NO_CONNECTION | code::CONNECTION_LOST => (StoreErrorKind::Unavailable, None),
        _ => {
            let said = status.message.to_ascii_lowercase();
            if NO_SPACE_WORDS.iter().any(|word| said.contains(word)) {
                (StoreErrorKind::NoSpace, Some(NO_SPACE_WAY_OUT))
            } else if said.contains("read-only") {
                (
                    StoreErrorKind::PermissionDenied,
                    Some("the server's file system is read-only; mount it for writing"),
                )
            } else {
                (StoreErrorKind::Other, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(code: u32, message: &str) -> Trouble {
        Trouble::Refused {
            refusal: Refusal::Status(Status {
                code,
                message: message.to_owned(),
            }),
            path: Bytes::from_static(b"/backup/packs/x"),
        }
    }

    #[test]
    fn codes_become_kinds_and_messages_name_path_and_way_out() {
        let failure = Failure {
            operation: "put",
            object: "packs/x".to_owned(),
            location: "ssh://me@host/backup".to_owned(),
        };
        for (code, said, kind, word) in [
            (2, "No such file", StoreErrorKind::NotFound, "--ssh-relative-path"),
            (
                3,
                "Permission denied",
                StoreErrorKind::PermissionDenied,
                "the right to",
            ),
            (
                4,
                "No space left on device",
                StoreErrorKind::NoSpace,
                "free space",
            ),
            (
                4,
                "Disk quota exceeded",
                StoreErrorKind::NoSpace,
                "raise the quota",
            ),
            (15, "", StoreErrorKind::NoSpace, "error code 15"),
            (
                4,
                "Read-only file system",
                StoreErrorKind::PermissionDenied,
                "mount it",
            ),
            (11, "", StoreErrorKind::AlreadyExists, "/backup/packs/x"),
            (7, "Connection lost", StoreErrorKind::Unavailable, "lost"),
            (4, "Failure", StoreErrorKind::Other, "Failure"),
        ] {
            let error = failure.of(&trouble(code, said));
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
        assert!(trouble(4, "Failure").is_plain_failure() && !trouble(4, "disk full").is_plain_failure());
    }
}
