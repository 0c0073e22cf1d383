// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The local database of a job: removing it, and putting it elsewhere.

use std::path::{Path as FilePath, PathBuf};

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use crate::{
    error::{Answer, ApiError},
    hub::Change,
    json::{Body, text},
    model::Backup,
    operations::removal::remove_local_database,
    state::App,
};

/// The job, when nothing uses its database.
async fn idle(app: &App, id: &str) -> Answer<Backup> {
    let backup = app.backup(id).await?;
    let is_busy = app
        .queue
        .state()
        .active
        .as_ref()
        .is_some_and(|job| job.backup_id.as_deref() == Some(id));
    if is_busy {
        return Err(ApiError::conflict(
            "The backup is running; its database cannot be changed now",
        ));
    }
    Ok(backup)
}

fn target(body: &Value) -> Answer<PathBuf> {
    let path = text(body, "path").unwrap_or_default();
    let path = PathBuf::from(path.trim());
    if path.as_os_str().is_empty() || !path.is_absolute() {
        return Err(ApiError::bad_request("The path must be absolute"));
    }
    Ok(path)
}

pub async fn delete(State(app): State<App>, Path(id): Path<String>) -> Answer<()> {
    let backup = idle(&app, &id).await?;
    remove_local_database(&app, &backup).map_err(ApiError::internal)?;
    app.hub.tell(Change::Backups);
    Ok(())
}

pub async fn relocate(State(app): State<App>, Path(id): Path<String>, Body(body): Body) -> Answer<()> {
    let backup = idle(&app, &id).await?;
    let to = target(&body)?;
    if to.exists() {
        return Err(ApiError::conflict("The target file already exists"));
    }
    let from = app.database_path(&backup);
    // Changes that still stand in the log beside the file go with it.
    for suffix in ["-wal", ""] {
        let name = |path: &FilePath| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (from, to) = (name(&from), name(&to));
        if from.exists() {
            relocate_file(&from, &to)
                .map_err(|error| ApiError::internal(format!("Failed to move the database: {error}")))?;
        }
    }
    app.database
        .set_database_path(&id, &to.display().to_string())
        .await?;
    app.hub.tell(Change::Backups);
    Ok(())
}

/// Renames, or copies and removes when the target is on another file system.
fn relocate_file(from: &FilePath, to: &FilePath) -> std::io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            std::fs::copy(from, to)?;
            std::fs::remove_file(from)
        }
        moved => moved,
    }
}

pub async fn update(State(app): State<App>, Path(id): Path<String>, Body(body): Body) -> Answer<()> {
    idle(&app, &id).await?;
    let to = target(&body)?;
    app.database
        .set_database_path(&id, &to.display().to_string())
        .await?;
    app.hub.tell(Change::Backups);
    Ok(())
}

pub async fn is_used_elsewhere(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let backup = app.backup(&id).await?;
    let path = app.database_path(&backup);
    let all = app.database.backups().await?;
    let is_used = all
        .iter()
        .any(|other| other.id != id && app.database_path(other) == path);
    Ok(Json(json!({"inuse": is_used})))
}
