// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Changing versions; these answer like version 1, with the number of a task.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::{
    dto::task::started,
    error::{Answer, ApiError},
    json::{self, Body},
    operations::{self, Operation},
    state::App,
};

async fn queue(app: &App, body: &Value, operation: Operation) -> Answer<Json<Value>> {
    let id = json::text(body, "BackupId").unwrap_or_default();
    app.backup(&id).await?;
    Ok(Json(started(
        operations::enqueue(app, &id, operation, false).await?,
    )))
}

fn answer(answer: Answer<Json<Value>>) -> Response {
    match answer {
        Ok(started) => started.into_response(),
        Err(error) => error.into_v2(),
    }
}

pub async fn purge_broken_files(State(app): State<App>, Body(body): Body) -> Response {
    let operation = Operation::new("PurgeBrokenFiles", "purge-broken-files");
    answer(queue(&app, &body, operation).await)
}

pub async fn delete(State(app): State<App>, Body(body): Body) -> Response {
    let numbers: Vec<String> = json::field(&body, "Versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|number| number.as_u64().map(|number| number.to_string()))
        .collect();
    if numbers.is_empty() {
        return ApiError::bad_request("No versions were given").into_v2();
    }
    let mut operation = Operation::new("Delete", "delete").option("version", numbers.join(","));
    if json::boolean(&body, "AllowFullRemoval").unwrap_or(false) {
        operation = operation.option("allow-full-removal", "true");
    }
    if json::boolean(&body, "SuppressCompact").unwrap_or(false) {
        operation = operation.option("no-auto-compact", "true");
    }
    answer(queue(&app, &body, operation).await)
}
