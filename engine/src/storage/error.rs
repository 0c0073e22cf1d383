// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Errors of a store: what kind, is a retry sensible, who should act.

use std::time::Duration;

use super::ObjectName;

/// What went wrong, as far as callers branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No such object, or no such root.
    NotFound,
    /// `put` met an existing name.
    AlreadyExists,
    /// The object is shorter than the range asked for.
    Truncated,
    /// The object is there and its bytes cannot be had: the medium reports a fault. As good as damaged; other objects may be whole.
    Unreadable,
    /// The target refuses for lack of rights. The operator should act.
    PermissionDenied,
    /// No room left at the target. The operator should act.
    NoSpace,
    /// The target did not answer in time or broke off; trying again is sensible.
    Unavailable,
    /// No connection came about: a name that is not known, a port where nobody listens. It may pass, but patience is for
    /// targets that have answered before.
    Unreachable,
    /// The request cannot be right (an empty object, a bad name): our own mistake or a broken configuration.
    Invalid,
    /// Anything else.
    Other,
}

/// A failed operation on a target.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {object} at {location}: {message}")]
pub struct StoreError {
    /// Kind.
    pub kind: StoreErrorKind,
    /// `put`, `get`, `list`, `delete`, `prepare`.
    pub operation: &'static str,
    /// The object, or the root.
    pub object: String,
    /// The target without secrets.
    pub location: String,
    /// What happened and, where we know it, the way out.
    pub message: String,
    /// How long the target asked to be left alone before the next try.
    pub retry_after: Option<Duration>,
    /// The error below.
    #[source]
    pub source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// Makes an error about one object.
    pub fn new(
        kind: StoreErrorKind,
        operation: &'static str,
        object: &ObjectName,
        location: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            operation,
            object: object.to_string(),
            location: location.into(),
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }

    /// Adds the error below.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(std::sync::Arc::new(source));
        self
    }

    /// Whether trying the same call again may succeed without anybody acting.
    pub fn is_retry_sensible(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::Unavailable | StoreErrorKind::Unreachable
        )
    }
}
