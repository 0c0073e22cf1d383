// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stopped an FTP operation, and what that means for a caller.

use std::io;

use duplicati_engine::storage::{StoreError, StoreErrorKind};

use super::control::Reply;
use crate::error::untrusted;

/// Longest part of a server's own words that is repeated, characters.
const WORDS_CHARACTERS_MAX: usize = 200;

#[derive(Debug)]
pub(super) enum Trouble {
    /// No connection came about.
    Unreachable(String),
    /// The connection ended or cannot be used any more; another one may work.
    Broken(String),
    /// The server refused, and the connection goes on.
    Refused(Reply),
    /// Decided by us.
    Told(StoreErrorKind, String),
}

impl Trouble {
    pub(super) fn broken(message: impl Into<String>) -> Self {
        Self::Broken(message.into())
    }

    pub(super) fn lost(error: &io::Error) -> Self {
        let text = error.to_string();
        if text.contains("certificate") || text.contains("UnknownIssuer") {
            return Self::Told(StoreErrorKind::PermissionDenied, untrusted(&text));
        }
        Self::Broken(format!("the connection broke off: {text}"))
    }

    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self::Told(StoreErrorKind::Unavailable, message.into())
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Told(StoreErrorKind::Invalid, message.into())
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::Told(StoreErrorKind::NotFound, message.into())
    }

    /// Whether the connection can be used for something else afterwards.
    pub(super) fn leaves_connection_usable(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Told(..))
    }

    pub(super) fn into_error(self, operation: &'static str, object: &str, location: &str) -> StoreError {
        let (kind, message) = match self {
            Self::Unreachable(message) => (StoreErrorKind::Unreachable, message),
            Self::Broken(message) => (StoreErrorKind::Unavailable, message),
            Self::Told(kind, message) => (kind, message),
            Self::Refused(reply) => meaning(&reply),
        };
        StoreError {
            kind,
            operation,
            object: object.to_owned(),
            location: location.to_owned(),
            message,
            retry_after: None,
            source: None,
        }
    }
}

/// By the code alone: the words of servers differ.
fn meaning(reply: &Reply) -> (StoreErrorKind, String) {
    let words: String = reply.text().chars().take(WORDS_CHARACTERS_MAX).collect();
    let code = reply.code;
    match code {
        452 | 552 => (
            StoreErrorKind::NoSpace,
            format!("no room is left at the target ({code} {words})"),
        ),
        430 | 530 => (
            StoreErrorKind::PermissionDenied,
            format!("user name or password is wrong ({code} {words})"),
        ),
        400..=499 => (
            StoreErrorKind::Unavailable,
            format!("the server could not do it now ({code} {words})"),
        ),
        532 | 550 | 553 => (
            StoreErrorKind::PermissionDenied,
            format!("the server refuses ({code} {words}); check the rights of the user at this path"),
        ),
        _ => (
            StoreErrorKind::Other,
            format!("the server answers {code} {words}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_tried_again_and_a_full_disk_is_not() {
        let kind = |code| {
            let reply = Reply {
                code,
                lines: vec!["words".to_owned()],
            };
            Trouble::Refused(reply).into_error("put", "x", "ftp://h").kind
        };
        for code in [425, 426, 450, 451] {
            assert_eq!(kind(code), StoreErrorKind::Unavailable, "{code}");
        }
        assert_eq!(kind(452), StoreErrorKind::NoSpace);
        assert_eq!(kind(552), StoreErrorKind::NoSpace);
        assert_eq!(kind(550), StoreErrorKind::PermissionDenied);
        assert_eq!(kind(530), StoreErrorKind::PermissionDenied);
        assert_eq!(kind(501), StoreErrorKind::Other);
    }
}
