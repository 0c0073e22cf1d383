// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The state of the server, also as a long poll; pause and resume.

use std::time::Duration;

use axum::{Json, extract::State};
use duplicati_actors::schedule::Repeat;
use serde_json::Value;

use crate::{
    dto::server_status::server_status,
    error::{Answer, ApiError},
    json::Query,
    pause,
    state::App,
};

const POLL_SECONDS_MIN: i64 = 10;
const POLL_SECONDS_MAX: i64 = 3_600;

fn seconds(text: &str) -> Option<i64> {
    Repeat::parse(text).ok()?.flat_seconds()
}

pub async fn state(State(app): State<App>, query: Query) -> Answer<Json<Value>> {
    if query.boolean("longpoll") {
        let wrong = |what: &str| ApiError::bad_request(format!("Invalid {what} for a long poll"));
        let known = query.integer("lastEventId").ok_or_else(|| wrong("lastEventId"))?;
        let duration = query
            .text("duration")
            .and_then(seconds)
            .filter(|seconds| (POLL_SECONDS_MIN..=POLL_SECONDS_MAX).contains(seconds))
            .ok_or_else(|| wrong("duration"))?;
        let mut events = app.hub.events();
        let changed = events.wait_for(|count| i64::try_from(*count) != Ok(known));
        // Without a change the answer is the same state again.
        let _waited = tokio::time::timeout(Duration::from_secs(duration.unsigned_abs()), changed)
            .await
            .is_ok();
    }
    Ok(Json(server_status(&app)))
}

pub async fn pause(State(app): State<App>, query: Query) -> Answer<()> {
    let span = match query.text("duration").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(seconds(text).ok_or_else(|| ApiError::bad_request("Invalid duration"))?),
    };
    pause::pause(&app, span).await?;
    Ok(())
}

pub async fn resume(State(app): State<App>) -> Answer<()> {
    pause::resume(&app).await?;
    Ok(())
}
