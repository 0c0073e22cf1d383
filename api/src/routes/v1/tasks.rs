// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tasks and how far they are.

use std::sync::PoisonError;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::Value;

use crate::{
    dto::{progress, task},
    error::{Answer, ApiError},
    state::App,
};

fn missing() -> ApiError {
    ApiError::not_found("No such task found")
}

pub async fn progress(State(app): State<App>) -> Answer<Json<Value>> {
    shown_progress(&app)
        .map(Json)
        .ok_or_else(|| ApiError::not_found("No active backup"))
}

/// The progress of the running task or the last one.
pub fn shown_progress(app: &App) -> Option<Value> {
    let state = app.queue.state();
    let job = state.latest()?;
    let rates = *app.rates.lock().unwrap_or_else(PoisonError::into_inner);
    Some(progress::progress(job, &rates))
}

pub async fn all(State(app): State<App>) -> Json<Value> {
    Json(task::queue(&app.queue.state()))
}

pub async fn one(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let id: u64 = id.parse().map_err(|_| missing())?;
    let state = app.queue.state();
    state
        .find(id)
        .map(|job| Json(task::task(job)))
        .ok_or_else(missing)
}

pub async fn stop(State(app): State<App>, Path(id): Path<String>) -> Answer<()> {
    let id: u64 = id.parse().map_err(|_| missing())?;
    if app.queue.stop(id).await {
        Ok(())
    } else {
        Err(missing())
    }
}

pub async fn abort(State(app): State<App>, Path(id): Path<String>) -> Answer<()> {
    let id: u64 = id.parse().map_err(|_| missing())?;
    if app.queue.abort(id).await {
        Ok(())
    } else {
        Err(missing())
    }
}
