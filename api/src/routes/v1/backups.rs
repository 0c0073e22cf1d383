// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All jobs: the list, and new ones.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::backup_input;
use crate::{
    dto,
    error::{Answer, ApiError},
    hub::Change,
    json::{Body, Query, field},
    state::{App, random_letters},
};

pub async fn list(State(app): State<App>, query: Query) -> Answer<Json<Value>> {
    let order = query.text("orderBy").unwrap_or_default().to_owned();
    Ok(Json(listed(&app, &order).await?))
}

/// The list in an order, or in the one that was set.
pub async fn listed(app: &App, order: &str) -> Answer<Value> {
    let backups = app.database.backups().await?;
    let schedules = app.database.schedules().await?;
    let order = if order.trim().is_empty() {
        app.settings.server_or_default("backup-list-sort-order")
    } else {
        order.to_owned()
    };
    Ok(dto::backup::list(app, &backups, &schedules, &order))
}

pub async fn create(State(app): State<App>, query: Query, Body(body): Body) -> Answer<Json<Value>> {
    let input = field(&body, "Backup").ok_or_else(|| ApiError::bad_request("No backup was given"))?;
    let mut backup = backup_input::backup(input)?;
    if query.boolean("temporary") {
        backup_input::unmask(&app, &mut backup, None)?;
        let id = app.add_temporary(backup)?;
        return Ok(Json(json!({"ID": id, "Temporary": true})));
    }
    backup_input::unmask(&app, &mut backup, None)?;
    let schedule = backup_input::schedule(&body, app.now())?;
    backup_input::normalize(&mut backup);
    backup_input::check(&app, &backup)?;
    if backup_input::has_name(&app, &backup.name, "").await? {
        return Err(ApiError::conflict(format!(
            "There already exists a backup with the name: {}",
            backup.name
        )));
    }
    backup.database_path = format!("{}.sqlite", random_letters());
    let is_secret = |name: &str| app.is_secret(name);
    let id = app
        .database
        .save_backup(&backup, schedule.as_ref(), &is_secret)
        .await
        .map_err(|error| {
            tracing::error!(%error, "failed to store a job");
            ApiError::internal("Unable to save schedule or backup object: the server database failed")
        })?;
    app.hub.tell(Change::Backups);
    app.wake_scheduler();
    Ok(Json(json!({"ID": id, "Temporary": false})))
}

pub async fn defaults(State(app): State<App>) -> Json<Value> {
    let options: Vec<Value> = app
        .settings
        .for_jobs()
        .into_iter()
        .map(|(name, value)| {
            let is_masked = app.is_secret(&name) && !value.is_empty();
            let value = if is_masked {
                crate::settings::PLACEHOLDER.to_owned()
            } else {
                value
            };
            json!({"Filter": "", "Name": name, "Value": value, "Argument": null})
        })
        .collect();
    Json(json!({
        "ApplicationOptions": options,
        "Backup": {"Settings": [
            {"Filter": "", "Name": "encryption-module", "Value": "aes", "Argument": null},
            {"Filter": "", "Name": "keep-time", "Value": "", "Argument": null},
        ]},
        "Schedule": {
            "Repeat": "1D", "Time": "13:00:00",
            "AllowedDays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        },
    }))
}
