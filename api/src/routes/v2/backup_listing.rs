// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Versions and what is in them.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{envelope, paged};
use crate::{
    dto::time::iso,
    error::{Answer, ApiError},
    json::{self, Body},
    model::Backup,
    operations::{
        Operation,
        listing::{self, Entry, Search, Version},
        read,
    },
    state::App,
};

async fn backup(app: &App, body: &Value) -> Answer<Backup> {
    let id = json::text(body, "BackupId").unwrap_or_default();
    app.backup(&id).await
}

pub async fn filesets(State(app): State<App>, Body(body): Body) -> Response {
    let answer = async {
        let backup = backup(&app, &body).await?;
        let versions = listing::versions(&app, &backup).await?;
        Ok(versions
            .iter()
            .map(|version| {
                json!({
                    "Version": version.number, "Time": listing::shown_time(version),
                    "IsFullBackup": version.is_whole, "FileCount": version.files, "FileSizes": version.bytes,
                })
            })
            .collect())
    };
    envelope(answer.await)
}

fn entry(entry: &Entry) -> Value {
    json!({
        "Path": entry.path, "Size": entry.size, "IsDirectory": entry.is_folder, "IsSymlink": entry.is_link,
        "LastModified": entry.modified.map(iso), "Metadata": {},
    })
}

pub async fn folder(State(app): State<App>, Body(body): Body) -> Response {
    let answer = async {
        let backup = backup(&app, &body).await?;
        let time = json::text(&body, "Time");
        let paths = json::texts(&body, "Paths").unwrap_or_default();
        let mut rows = Vec::new();
        if paths.is_empty() {
            rows.extend(
                listing::roots(&app, &backup, time.as_deref())
                    .await?
                    .iter()
                    .map(entry),
            );
        }
        for path in &paths {
            let found = listing::folder(&app, &backup, time.as_deref(), path).await?;
            rows.extend(found.iter().map(entry));
        }
        Ok(rows)
    };
    paged(&body, answer.await)
}

/// Times of versions by their numbers.
fn times(versions: &[Version]) -> BTreeMap<u64, String> {
    versions
        .iter()
        .map(|version| (version.number, listing::shown_time(version)))
        .collect()
}

fn entry_of_version(found: &Entry, times: &BTreeMap<u64, String>) -> Value {
    let mut row = entry(found);
    row["Version"] = found.version.into();
    row["Time"] = times.get(&found.version).cloned().into();
    row
}

pub async fn versions(State(app): State<App>, Body(body): Body) -> Response {
    let answer = async {
        let backup = backup(&app, &body).await?;
        let paths = json::texts(&body, "Paths").unwrap_or_default();
        if paths.is_empty() {
            return Err(ApiError::bad_request("No paths were given"));
        }
        let times = times(&listing::versions(&app, &backup).await?);
        let found = listing::file_versions(&app, &backup, &paths).await?;
        Ok(found
            .iter()
            .map(|found| entry_of_version(found, &times))
            .collect())
    };
    paged(&body, answer.await)
}

pub async fn search(State(app): State<App>, Body(body): Body) -> Response {
    let answer = async {
        let backup = backup(&app, &body).await?;
        let numbers = json::field(&body, "Version").and_then(Value::as_array).cloned();
        let search = Search {
            filters: json::texts(&body, "Filters").unwrap_or_default(),
            versions: numbers
                .into_iter()
                .flatten()
                .filter_map(|number| number.as_u64())
                .collect(),
            time: json::text(&body, "Time"),
            is_case_sensitive: json::boolean(&body, "CaseSensitiveSearch").unwrap_or(false),
        };
        let times = times(&listing::versions(&app, &backup).await?);
        let below = json::texts(&body, "Paths").unwrap_or_default();
        let found = listing::search(&app, &backup, &search).await?;
        Ok(found
            .iter()
            .filter(|found| below.is_empty() || below.iter().any(|folder| found.path.starts_with(folder)))
            .map(|found| entry_of_version(found, &times))
            .collect())
    };
    paged(&body, answer.await)
}

pub async fn broken_files(State(app): State<App>, Body(body): Body) -> Response {
    let answer = async {
        let backup = backup(&app, &body).await?;
        let operation = Operation::new("ListBrokenFiles", "list-broken-files").option("full-result", "true");
        let end = read(&app, &backup, &operation).await;
        if let Some(error) = end.error {
            return Err(ApiError::from(error));
        }
        let mut by_version: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in end.objects("broken-file") {
            let time = row["time"].as_str().unwrap_or_default().to_owned();
            let path = row["path"].as_str().unwrap_or_default();
            by_version
                .entry(time)
                .or_default()
                .push(json!({"Path": format!("/{path}"), "Size": -1}));
        }
        let newest_first = by_version.into_iter().rev().enumerate();
        Ok(newest_first
            .map(|(number, (time, files))| json!({"FilesetID": number, "FilesetTime": time, "Files": files}))
            .collect())
    };
    paged(&body, answer.await)
}
