// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Logs of the server.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::backup_data::page_size;
use crate::{
    error::{Answer, ApiError},
    json::Query,
    live_log::LogLevel,
    state::App,
};

const POLLED_LINES_MAX: i64 = 500;
const POLLED_LINES_DEFAULT: i64 = 100;

pub async fn poll(State(app): State<App>, query: Query) -> Answer<Json<Value>> {
    let level = query
        .text("level")
        .and_then(LogLevel::parse)
        .ok_or_else(|| ApiError::bad_request("Unknown log level"))?;
    let after = query
        .integer("id")
        .and_then(|id| u64::try_from(id).ok())
        .unwrap_or(0);
    let count = query
        .integer("pagesize")
        .unwrap_or(POLLED_LINES_DEFAULT)
        .clamp(1, POLLED_LINES_MAX);
    Ok(Json(app.live_log.after(after, level, count as usize).into()))
}

pub async fn log(State(app): State<App>, query: Query) -> Answer<Json<Value>> {
    let before = query.integer("offset").unwrap_or(i64::MAX);
    let rows = app.database.error_log(before, page_size(&query)).await?;
    let rows = rows.into_iter().map(|row| {
        json!({
            "BackupID": row.backup_id, "Message": row.message, "Exception": row.exception, "Timestamp": row.time,
        })
    });
    Ok(Json(rows.collect()))
}

pub async fn crash_log(State(app): State<App>) -> Json<Value> {
    let path = app.options.data_folder.join("duplicati-server-crashlog.txt");
    Json(json!({"Logdata": std::fs::read_to_string(path).ok()}))
}
