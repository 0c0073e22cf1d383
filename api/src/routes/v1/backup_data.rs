// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a job has done, and what it has stored.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use crate::{
    error::{Answer, ApiError},
    json::Query,
    operations::listing::{self, Search, Version},
    state::App,
};

const PAGE_ROWS_MIN: i64 = 10;
const PAGE_ROWS_MAX: i64 = 500;
const PAGE_ROWS_DEFAULT: i64 = 100;

/// Rows of a page of a log.
pub fn page_size(query: &Query) -> i64 {
    query
        .integer("pagesize")
        .unwrap_or(PAGE_ROWS_DEFAULT)
        .clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX)
}

pub async fn log(State(app): State<App>, Path(id): Path<String>, query: Query) -> Answer<Json<Value>> {
    app.backup(&id).await?;
    let before = query.integer("offset").unwrap_or(i64::MAX);
    let rows = app.database.job_log(&id, before, page_size(&query)).await?;
    let rows = rows.into_iter().map(|row| {
        json!({
            "ID": row.id, "OperationID": row.id, "Timestamp": row.time, "Type": "Result", "Message": row.message,
            "Exception": null,
        })
    });
    Ok(Json(rows.collect()))
}

/// Single calls to a destination are not kept.
pub async fn remote_log(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    app.backup(&id).await?;
    Ok(Json(json!([])))
}

fn fileset(version: &Version) -> Value {
    json!({
        "Version": version.number, "IsFullBackup": i32::from(version.is_whole), "Time": listing::shown_time(version),
        "FileCount": version.files, "FileSizes": version.bytes,
    })
}

pub async fn filesets(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let backup = app.backup(&id).await?;
    let versions = listing::versions(&app, &backup).await?;
    Ok(Json(versions.iter().map(fileset).collect()))
}

pub async fn files(State(app): State<App>, Path(id): Path<String>, query: Query) -> Answer<Json<Value>> {
    let backup = app.backup(&id).await?;
    let (time, is_all) = (query.text("time"), query.boolean("all-versions"));
    if time.is_none_or(str::is_empty) && !is_all {
        return Err(ApiError::bad_request("Invalid or missing time"));
    }
    let filter = query.text("filter").unwrap_or_default();
    let literal = filter.strip_prefix('@').unwrap_or(filter);
    let entries = if query.boolean("prefix-only") {
        listing::roots(&app, &backup, time).await?
    } else if query.boolean("folder-contents") {
        listing::folder(&app, &backup, time, literal).await?
    } else {
        let search = Search {
            filters: (!literal.is_empty())
                .then(|| literal.to_owned())
                .into_iter()
                .collect(),
            time: time.filter(|_| !is_all).map(str::to_owned),
            is_case_sensitive: true,
            ..Search::default()
        };
        listing::search(&app, &backup, &search).await?
    };
    let mut sizes: BTreeMap<(bool, String), Vec<i64>> = BTreeMap::new();
    for entry in entries {
        sizes
            .entry((!entry.is_folder, entry.path))
            .or_default()
            .push(entry.size);
    }
    let files: Vec<Value> = sizes
        .into_iter()
        .map(|((_, path), sizes)| json!({"Path": path, "Sizes": sizes}))
        .collect();
    let versions = listing::versions(&app, &backup).await?;
    let filesets: Vec<Value> = versions.iter().map(fileset).collect();
    Ok(Json(json!({"Filesets": filesets, "Files": files})))
}
