// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Trying filters, and looking at the place for temporary files.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::envelope;
use crate::{
    error::{Answer, ApiError},
    json::{self, Body},
    operations::arguments::expand,
    state::App,
};

/// Paths tried at once.
const PATHS_MAX: usize = 100_000;

pub async fn test_filter(State(app): State<App>, Body(body): Body) -> Response {
    envelope(decided(&app, &body))
}

fn decided(app: &App, body: &Value) -> Answer<Value> {
    let paths = json::texts(body, "Paths").unwrap_or_default();
    if paths.len() > PATHS_MAX {
        return Err(ApiError::bad_request("Too many paths at once"));
    }
    let sources: Vec<String> = json::texts(body, "Sources")
        .unwrap_or_default()
        .iter()
        .map(|source| expand(source))
        .collect();
    let filters = json::texts(body, "Filters").unwrap_or_default();
    let rules: Vec<(bool, String)> = filters
        .iter()
        .map(|filter| match filter.split_at_checked(1) {
            Some(("-", expression)) => (false, expand(expression)),
            Some(("+", expression)) => (true, expand(expression)),
            _ => (true, expand(filter)),
        })
        .collect();
    let is_same = |path: &str, source: &str| path.trim_end_matches('/') == source.trim_end_matches('/');
    let is_below = |path: &str, source: &str| {
        path.strip_prefix(source.trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/'))
    };
    // Those that are under no source are left out of the answer.
    let asked: Vec<(String, String)> = paths
        .into_iter()
        .map(|path| (expand(&path), path))
        .filter(|(real, _)| {
            sources
                .iter()
                .any(|source| is_same(real, source) || is_below(real, source))
        })
        .collect();
    let real: Vec<String> = asked.iter().map(|(real, _)| real.clone()).collect();
    let decisions = app
        .commands
        .decide(&rules, &real)
        .map_err(|error| ApiError::bad_request(error.message))?;
    let rows = asked
        .iter()
        .zip(decisions)
        .map(|((real, path), (is_included, rule))| {
            let is_source = sources.iter().any(|source| is_same(real, source));
            let filter = rule.and_then(|rule| filters.get(rule)).filter(|_| !is_source);
            json!({"Path": path, "Included": is_included || is_source, "MatchedFilter": filter})
        });
    Ok(rows.collect())
}

pub async fn temporary_space(State(app): State<App>, Body(_): Body) -> Response {
    let path = &app.options.temporary_folder;
    let space = rustix::fs::statvfs(path).ok();
    envelope(Ok(json!({
        "TempPath": path.display().to_string(),
        "FreeSpace": space.as_ref().map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
        "TotalSpace": space.as_ref().map(|space| space.f_blocks.saturating_mul(space.f_frsize)),
        "DblockSize": null, "RestoreCacheMax": null,
    })))
}
