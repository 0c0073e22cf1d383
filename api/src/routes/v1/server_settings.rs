// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Settings of the server, and options for all jobs.

use axum::{
    Json,
    extract::{Path, State},
};
use duplicati_actors::schedule::Repeat;
use serde_json::{Value, json};

use crate::{
    error::{Answer, ApiError},
    hub::Change,
    json::{Body, text_map},
    settings::{self, PLACEHOLDER},
    state::App,
};

/// The name under which a new password is sent.
const PASSWORD: &str = "server-passphrase";
/// Most values changed at once.
const CHANGES_MAX: usize = 10_000;

pub async fn all(State(app): State<App>) -> Json<Value> {
    Json(json!(app.settings.shown()))
}

pub async fn change(State(app): State<App>, Body(body): Body) -> Answer<()> {
    let values = text_map(&body).ok_or_else(|| ApiError::bad_request("An object of settings is needed"))?;
    if values.len() > CHANGES_MAX {
        return Err(ApiError::bad_request("Too many settings at once"));
    }
    let (mut server, mut for_jobs) = (Vec::new(), Vec::new());
    let mut password = None;
    for (name, value) in values {
        if name == PASSWORD {
            password = value.filter(|value| !value.is_empty());
        } else if name.starts_with("--") {
            if value.as_deref() == Some(PLACEHOLDER) {
                continue;
            }
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                app.commands
                    .check_option(name.trim_start_matches('-'), value)
                    .map_err(|error| ApiError::bad_request(error.message))?;
            }
            for_jobs.push((name, value));
        } else if !settings::is_guarded_in(&name) {
            check(&name, value.as_deref().unwrap_or_default())?;
            // Absent is told as an empty text, so that is what null means.
            server.push((name, Some(value.unwrap_or_default())));
        }
    }
    app.settings.set_server(&app.database, &server).await?;
    app.settings.set_for_jobs(&app.database, &for_jobs).await?;
    if let Some(password) = password {
        app.auth
            .set_password(&app.database, &app.settings, password)
            .await?;
    }
    app.hub.tell(Change::Settings);
    app.wake_scheduler();
    Ok(())
}

fn check(name: &str, value: &str) -> Answer<()> {
    let is_wrong = match name {
        "update-check-interval" => Repeat::parse(value).is_err(),
        "server-timezone" => !value.is_empty() && jiff::tz::TimeZone::get(value).is_err(),
        "startup-delay" => !matches!(value, "" | "0" | "0s") && Repeat::parse(value).is_err(),
        _ => false,
    };
    if is_wrong {
        return Err(ApiError::bad_request(format!("The value of {name} is not valid")));
    }
    Ok(())
}

pub async fn one(State(app): State<App>, Path(key): Path<String>) -> Answer<String> {
    let shown = app.settings.shown();
    shown
        .get(&key)
        .cloned()
        .ok_or_else(|| ApiError::not_found(format!("There is no setting {key}")))
}

pub async fn set(State(app): State<App>, Path(key): Path<String>, Body(body): Body) -> Answer<()> {
    let value = body
        .as_str()
        .ok_or_else(|| ApiError::bad_request("A JSON text is needed"))?
        .to_owned();
    if key == PASSWORD {
        app.auth.set_password(&app.database, &app.settings, value).await?;
    } else if settings::is_guarded_in(&key) || settings::is_guarded_out(&key) {
        return Err(ApiError::bad_request(format!(
            "The setting {key} cannot be changed by name"
        )));
    } else {
        check(&key, &value)?;
        let values = [(key.clone(), Some(value))];
        if key.starts_with("--") {
            app.settings.set_for_jobs(&app.database, &values).await?;
        } else {
            app.settings.set_server(&app.database, &values).await?;
        }
    }
    app.hub.tell(Change::Settings);
    app.wake_scheduler();
    Ok(())
}
