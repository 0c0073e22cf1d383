// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Counts every request to a target as metrics, and writes it to the log for those who ask. No names of objects become
//! labels, and nothing secret is at hand here.

use std::sync::Arc;

use duplicati_engine::storage::{Store, StoreErrorKind, StoreFuture};
use tokio::time::Instant;

use super::{
    decorate_store,
    operation::{Answer, Around, Operation, OperationKind},
};

/// Requests, by scheme, operation and outcome.
pub const REQUESTS_TOTAL: &str = "duplicati_store_requests_total";
/// Bytes of objects, by scheme and direction.
pub const BYTES_TOTAL: &str = "duplicati_store_bytes_total";
/// Seconds that a request took, by scheme and operation.
pub const REQUEST_SECONDS: &str = "duplicati_store_request_seconds";

/// A store whose requests are counted.
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    scheme: String,
}

impl MeteredStore {
    /// Counts the requests to `inner` under the name of its scheme.
    pub fn new(inner: Arc<dyn Store>, scheme: impl Into<String>) -> Self {
        Self {
            inner,
            scheme: scheme.into(),
        }
    }
}

fn operation_label(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Put => "put",
        OperationKind::Get => "get",
        OperationKind::List | OperationKind::ListForeignRoot => "list",
        OperationKind::Delete => "delete",
        OperationKind::Prepare => "prepare",
        OperationKind::RemoveStaleTemporaries => "remove_stale_temporaries",
    }
}

fn outcome_label(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::NotFound => "not_found",
        StoreErrorKind::AlreadyExists => "already_exists",
        StoreErrorKind::Truncated => "truncated",
        StoreErrorKind::Unreadable => "unreadable",
        StoreErrorKind::PermissionDenied => "permission_denied",
        StoreErrorKind::NoSpace => "no_space",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Invalid => "invalid",
        StoreErrorKind::Unreachable => "unreachable",
        StoreErrorKind::Other => "other",
    }
}

impl Around for MeteredStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let begin = Instant::now();
            let result = call.await;
            let seconds = begin.elapsed().as_secs_f64();
            let label = operation_label(operation.kind);
            let outcome = result
                .as_ref()
                .map_or_else(|error| outcome_label(error.kind), |_| "ok");
            let scheme = || self.scheme.clone();
            metrics::counter!(REQUESTS_TOTAL, "scheme" => scheme(), "operation" => label, "outcome" => outcome)
                .increment(1);
            metrics::histogram!(REQUEST_SECONDS, "scheme" => scheme(), "operation" => label).record(seconds);
            let received = result.as_ref().map_or(0, Answer::content_bytes);
            if operation.size_bytes > 0 {
                metrics::counter!(BYTES_TOTAL, "scheme" => scheme(), "direction" => "up")
                    .increment(operation.size_bytes);
            }
            if received > 0 {
                metrics::counter!(BYTES_TOTAL, "scheme" => scheme(), "direction" => "down")
                    .increment(received);
            }
            tracing::debug!(
                target: "duplicati::requests",
                "{label} {}: {outcome}, {} bytes up, {received} bytes down, {:.3} s",
                operation.subject(), operation.size_bytes, seconds,
            );
            result
        })
    }
}
decorate_store!(MeteredStore);
