// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One job: looking at it, changing it, removing it.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::backup_input;
use crate::{
    dto::{
        self,
        backup::{Shown, display_names},
    },
    error::{Answer, ApiError},
    hub::Change,
    json::{Body, Query, field, has},
    operations::removal::{self, Removal},
    state::App,
};

/// How long a removal waits for a run that it ends.
const ABORT_WAIT: Duration = Duration::from_secs(10);

pub async fn get(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let backup = app.backup(&id).await?;
    let schedules = app.database.schedules().await?;
    Ok(Json(json!({
        "Schedule": dto::backup::schedule(schedules.get(&id)),
        "Backup": dto::backup::backup(&app, &backup, Shown::Masked),
        "DisplayNames": display_names(&backup),
    })))
}

pub async fn update(State(app): State<App>, Path(id): Path<String>, Body(body): Body) -> Answer<()> {
    let stored = app.backup(&id).await?;
    if stored.is_temporary() {
        return Err(ApiError::bad_request("A temporary backup cannot be changed"));
    }
    let input = field(&body, "Backup").ok_or_else(|| ApiError::bad_request("No backup was given"))?;
    let mut backup = backup_input::backup(input)?;
    backup_input::unmask(&app, &mut backup, Some(&stored))?;
    let mut schedule = backup_input::schedule(&body, app.now())?;
    backup_input::normalize(&mut backup);
    backup_input::check(&app, &backup)?;
    if backup_input::has_name(&app, &backup.name, &id).await? {
        return Err(ApiError::conflict(format!(
            "There already exists a backup with the name: {}",
            backup.name
        )));
    }
    backup.id = stored.id.clone();
    backup.database_path = stored.database_path.clone();
    backup.external_id = stored.external_id.clone();
    if !has(input, "Metadata") {
        backup.metadata = stored.metadata;
    }
    let known = app.database.schedules().await?.remove(&id);
    if let (Some(schedule), Some(known)) = (&mut schedule, known)
        && schedule.last_run.is_none()
    {
        schedule.last_run = known.last_run;
    }
    let is_secret = |name: &str| app.is_secret(name);
    app.database
        .save_backup(&backup, schedule.as_ref(), &is_secret)
        .await
        .map_err(|error| {
            tracing::error!(%error, "failed to store a job");
            ApiError::internal("Unable to save backup or schedule: the server database failed")
        })?;
    app.hub.tell(Change::Backups);
    app.wake_scheduler();
    Ok(())
}

pub async fn delete(State(app): State<App>, Path(id): Path<String>, query: Query) -> Answer {
    let backup = app.backup(&id).await?;
    let running = app.queue.state().active.clone();
    if let Some(job) = running.filter(|job| job.backup_id.as_deref() == Some(&id)) {
        let failed = |reason: &str| -> Response {
            let body = json!({"Status": "failed", "Reason": reason, "ID": job.id});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        };
        if !query.boolean("force") {
            return Ok(failed("backup-in-progress"));
        }
        app.queue.abort(job.id).await;
        let mut state = app.queue.watch();
        let ended = state.wait_for(|state| state.active.as_ref().is_none_or(|active| active.id != job.id));
        if tokio::time::timeout(ABORT_WAIT, ended).await.is_err() {
            return Ok(failed("backup-unstoppable"));
        }
    }
    let removal = Removal {
        remote_files: query.boolean("delete-remote-files"),
        local_database: query.boolean("delete-local-db"),
    };
    let task = removal::enqueue(&app, backup, removal).await?;
    Ok(Json(json!({"Status": "OK", "Reason": null, "ID": task})).into_response())
}

pub async fn copy_to_temporary(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let backup = app.backup(&id).await?;
    let id = app.add_temporary(backup)?;
    Ok(Json(json!({"ID": id, "Temporary": true})))
}

pub async fn is_active(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    app.backup(&id).await?;
    let is_active = app.queue.state().of_backup(&id).is_some();
    Ok(Json(json!({"Status": "OK", "Active": is_active})))
}
