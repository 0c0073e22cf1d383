// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What clients are told when something cannot be done. The only place where failures become HTTP status codes.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{commands_port::CommandError, database::DatabaseError};
use duplicati_actors::job_queue::QueueError;

/// A failed request.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
    /// A stable id of a failure of the backup engine.
    pub help_id: Option<String>,
}

/// The answer of a route.
pub type Answer<T = Response> = Result<T, ApiError>;

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            help_id: None,
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The answer of a v2 route: the status is always 200.
    pub fn into_v2(self) -> Response {
        let code = self
            .help_id
            .unwrap_or_else(|| format!("HTTP-{}", self.status.as_u16()));
        axum::Json(json!({"Success": false, "Error": self.message, "StatusCode": code, "Data": null}))
            .into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"Error": self.message, "Code": self.status.as_u16()});
        if let Some(help_id) = self.help_id {
            body["HelpId"] = help_id.into();
        }
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        // The details are for the log; a client can do nothing with them.
        tracing::error!(%error, "a request failed");
        Self::internal("An error occurred")
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: error.message,
            help_id: Some(error.id),
        }
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}
