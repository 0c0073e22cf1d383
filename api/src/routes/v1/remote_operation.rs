// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Trying a destination before it is used.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    commands_port::{CommandError, Look},
    error::{Answer, ApiError},
    json::{self, Body, Query},
    operations::arguments,
    state::App,
    target_url,
};

/// A URL with stored secrets in the place of placeholders.
pub async fn whole_url(app: &App, url: &str, backup_id: Option<&str>) -> Answer<String> {
    let stored = match backup_id.filter(|id| !id.is_empty()) {
        Some(id) => app.backup(id).await.ok().map(|backup| backup.target_url),
        None => None,
    };
    let is_secret = |name: &str| app.is_secret(name);
    target_url::unmask(url, stored.as_deref(), &is_secret)
        .map_err(|_| ApiError::bad_request("TargetURL is password placeholder value"))
}

/// Looks at a destination.
pub async fn look(app: &App, url: &str, create: bool) -> Result<Look, CommandError> {
    let for_jobs = app.settings.for_jobs();
    let options: Vec<(String, String)> = for_jobs
        .into_iter()
        .map(|(name, value)| (name.trim_start_matches('-').to_owned(), value))
        .filter(|(name, value)| {
            !value.is_empty()
                && app
                    .option_table
                    .iter()
                    .any(|info| info.is_backend && info.name == name)
        })
        .collect();
    let arguments = arguments::at_destination("list-filesets", url, &options);
    app.commands.look(arguments, create).await
}

pub async fn test(State(app): State<App>, query: Query, Body(body): Body) -> Answer<()> {
    let path = json::text(&body, "path").unwrap_or_default();
    let url = whole_url(&app, &path, json::text(&body, "backupId").as_deref()).await?;
    let found = look(&app, &url, query.boolean("autocreate"))
        .await
        .map_err(|error| ApiError::internal(error.message))?;
    if !found.folder_exists {
        return Err(ApiError::internal("missing-folder"));
    }
    Ok(())
}

pub async fn create(State(app): State<App>, Body(body): Body) -> Answer<()> {
    let path = json::text(&body, "path").unwrap_or_default();
    let url = whole_url(&app, &path, json::text(&body, "backupId").as_deref()).await?;
    // A folder on this machine is made as it is, not as a place for backups.
    if let Some(folder) = url.strip_prefix("file://") {
        let folder = json::decode(folder.split('?').next().unwrap_or_default());
        return tokio::task::spawn_blocking(move || std::fs::create_dir_all(folder))
            .await
            .map_err(|_| ApiError::internal("An error occurred"))?
            .map_err(|error| {
                ApiError::internal(format!(
                    "error-id:error-creating-folder, user-information:{error}"
                ))
            });
    }
    look(&app, &url, true).await.map(drop).map_err(|error| {
        ApiError::internal(format!(
            "error-id:{}, user-information:{}",
            error.id, error.message
        ))
    })
}

pub async fn database_path(State(app): State<App>, Body(body): Body) -> Answer<Json<Value>> {
    let url = json::text(&body, "path").unwrap_or_default();
    let all = app.database.backups().await?;
    let found = all.iter().find(|backup| backup.target_url == url);
    let path = found.map(|backup| app.database_path(backup));
    let exists = path.as_ref().is_some_and(|path| path.exists());
    Ok(Json(
        json!({"Exists": exists, "Path": path.map(|path| path.display().to_string())}),
    ))
}
