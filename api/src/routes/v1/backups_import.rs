// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Jobs from files.

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::backup_input;
use crate::{
    error::{Answer, ApiError},
    hub::Change,
    json::{self, Body, field},
    model::Backup,
    state::{App, random_letters},
};

/// Names tried for a job whose own name is taken.
const NAME_ATTEMPTS_MAX: usize = 1_000;

fn failed(reason: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format!("Failed to import backup: {reason}"))
}

pub async fn import(State(app): State<App>, Body(body): Body) -> Answer<Json<Value>> {
    if json::boolean(&body, "cmdline").unwrap_or(false) {
        return Err(failed("command lines cannot be imported"));
    }
    let config = json::text(&body, "config").unwrap_or_default();
    let bytes = STANDARD
        .decode(config.trim())
        .map_err(|_| failed("the file did not arrive as base64"))?;
    let bytes = if bytes.starts_with(b"AES") {
        let passphrase = json::text(&body, "passphrase").unwrap_or_default();
        let commands = std::sync::Arc::clone(&app.commands);
        // Many rounds are made of a passphrase.
        let opened = tokio::task::spawn_blocking(move || commands.open_export(&bytes, &passphrase)).await;
        opened
            .map_err(|_| failed("the file could not be opened"))?
            .map_err(|error| failed(error.message))?
    } else {
        bytes
    };
    // Files of other programs may begin with a byte order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut file: Value =
        serde_json::from_slice(text).map_err(|error| failed(format!("the file is not JSON: {error}")))?;
    if let Some(replaced) = field(&body, "replace_settings").and_then(json::text_map) {
        replace(&mut file, &replaced);
    }
    let keeps_metadata = json::boolean(&body, "import_metadata").unwrap_or(false);
    if let Some(values) = file.get_mut("Backup").and_then(Value::as_object_mut) {
        values.insert("ID".to_owned(), Value::Null);
        values.insert("DBPath".to_owned(), Value::Null);
        values.insert("ConnectionStringID".to_owned(), (-1).into());
        if !keeps_metadata {
            values.insert("Metadata".to_owned(), json!({}));
        }
    }
    let input = field(&file, "Backup").ok_or_else(|| failed("the file describes no backup"))?;
    let mut backup = backup_input::backup(input).map_err(|error| failed(error.message))?;
    if json::boolean(&body, "temporary").unwrap_or(false) {
        let id = app.add_temporary(backup)?;
        return Ok(Json(json!({"Id": id, "data": null})));
    }
    if !json::boolean(&body, "direct").unwrap_or(false) {
        return Ok(Json(json!({"Id": null, "data": file})));
    }
    let schedule = backup_input::schedule(&file, app.now()).map_err(|error| failed(error.message))?;
    backup_input::unmask(&app, &mut backup, None).map_err(|error| failed(error.message))?;
    backup_input::normalize(&mut backup);
    backup.name = free_name(&app, &backup.name).await?;
    backup_input::check(&app, &backup).map_err(|error| failed(error.message))?;
    backup.external_id = None;
    backup.database_path = format!("{}.sqlite", random_letters());
    let is_secret = |name: &str| app.is_secret(name);
    let id = app
        .database
        .save_backup(&backup, schedule.as_ref(), &is_secret)
        .await?;
    app.hub.tell(Change::Backups);
    app.wake_scheduler();
    Ok(Json(json!({"Id": id, "data": null})))
}

async fn free_name(app: &App, name: &str) -> Answer<String> {
    let all: Vec<Backup> = app.database.backups().await?;
    let is_free = |name: &str| {
        all.iter()
            .all(|other| other.name.to_lowercase() != name.to_lowercase())
    };
    std::iter::once(name.to_owned())
        .chain((1..NAME_ATTEMPTS_MAX).map(|number| format!("{name} ({number})")))
        .find(|name| is_free(name))
        .ok_or_else(|| failed("no free name was found"))
}

/// Changes parts of a file before it is read.
fn replace(file: &mut Value, replaced: &[(String, Option<String>)]) {
    let backup = &mut file["Backup"];
    for (name, value) in replaced {
        let value = value.clone().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "name" => backup["Name"] = value.into(),
            "targeturl" => backup["TargetURL"] = value.into(),
            "description" => backup["Description"] = value.into(),
            "dbpath" => {}
            "sources" => backup["Sources"] = value.split(':').collect(),
            _ => {
                let Some(option) = lower.strip_prefix("settings.") else {
                    continue;
                };
                let settings = backup["Settings"].as_array().cloned().unwrap_or_default();
                let is_other = |row: &Value| {
                    row["Name"]
                        .as_str()
                        .is_none_or(|known| known.trim_start_matches('-') != option.trim_start_matches('-'))
                };
                let mut settings: Vec<Value> = settings.into_iter().filter(is_other).collect();
                settings.push(json!({"Filter": "", "Name": option, "Value": value, "Argument": null}));
                backup["Settings"] = settings.into();
            }
        }
    }
}
