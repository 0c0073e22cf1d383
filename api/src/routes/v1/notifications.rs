// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages for the user.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::Value;

use crate::{
    dto::notification,
    error::{Answer, ApiError},
    hub::Change,
    operations::ended::recount_unread,
    state::App,
};

pub async fn all(State(app): State<App>) -> Answer<Json<Value>> {
    Ok(Json(notification::list(&app.database.notifications().await?)))
}

pub async fn one(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let all = app.database.notifications().await?;
    let found = all.iter().find(|one| one.id.to_string() == id);
    found
        .map(|one| Json(notification::notification(one)))
        .ok_or_else(|| ApiError::not_found("Notification not found"))
}

pub async fn dismiss(State(app): State<App>, Path(id): Path<String>) -> Answer<()> {
    let missing = || ApiError::not_found("Notification not found");
    let number = id.parse::<i64>().map_err(|_| missing())?;
    if !app.database.delete_notification(number).await? {
        return Err(missing());
    }
    recount_unread(&app).await?;
    app.hub.tell(Change::Notifications);
    Ok(())
}
