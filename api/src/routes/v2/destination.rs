// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Trying a destination.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::envelope;
use crate::{
    json::{self, Body},
    routes::v1::remote_operation::{look, whole_url},
    state::App,
};

fn found(
    exists: Option<bool>,
    is_empty: Option<bool>,
    has_files: Option<bool>,
    is_encrypted: Option<bool>,
) -> Value {
    json!({
        "FolderExists": exists, "FolderIsEmpty": is_empty, "FolderContainsBackupFiles": has_files,
        "FolderContainsEncryptedBackupFiles": is_encrypted, "AfterConnect": true, "HostCertificate": null,
        "ReportedHostKey": null, "AcceptedHostKey": null,
    })
}

fn failed(code: &str, message: &str, data: Value) -> Response {
    Json(json!({"Success": false, "Error": message, "StatusCode": code, "Data": data})).into_response()
}

pub async fn test(State(app): State<App>, Body(body): Body) -> Response {
    let url = json::text(&body, "DestinationUrl").unwrap_or_default();
    let url = match whole_url(&app, &url, json::text(&body, "BackupId").as_deref()).await {
        Ok(url) => url,
        Err(error) => return error.into_v2(),
    };
    let create = json::boolean(&body, "AutoCreate").unwrap_or(false);
    match look(&app, &url, create).await {
        Ok(look) if !look.folder_exists => failed(
            "missing-folder",
            "The folder does not exist",
            found(Some(false), None, None, None),
        ),
        Ok(look) => envelope(Ok(found(
            Some(true),
            Some(look.is_empty),
            Some(look.has_repository),
            Some(look.is_encrypted),
        ))),
        Err(error) if create => failed(
            "error-creating-folder",
            &error.message,
            found(None, None, None, None),
        ),
        Err(error) => failed("error", &error.message, found(None, None, None, None)),
    }
}

/// Destinations are kept with their jobs.
pub async fn connection_strings() -> Response {
    envelope(Ok(json!([])))
}
