// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pages about the program, and answers of parts that this server does not have.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use crate::{
    error::{Answer, ApiError},
    json::Query,
    state::App,
};

pub async fn changelog(State(app): State<App>, query: Query) -> Answer<Json<Value>> {
    if query.boolean("from-update") {
        return Err(ApiError::not_found("There is no update"));
    }
    Ok(Json(json!({"Version": app.options.version, "Changelog": ""})))
}

pub async fn licenses() -> Json<Value> {
    Json(json!([{
        "Title": "duplicati-engine", "Url": "", "License": "Apache-2.0 OR MIT", "Jsondata": "",
    }]))
}

pub async fn acknowledgements() -> Json<Value> {
    Json(
        json!({"Acknowledgements": "This server answers the interface of Duplicati, so that Duplicati's clients work with it."}),
    )
}

/// Packages bring updates.
pub async fn check_updates() {}

pub async fn web_modules() -> Json<Value> {
    Json(json!([]))
}

pub async fn web_module(Path(key): Path<String>) -> Answer<()> {
    Err(ApiError::not_found(format!("There is no module {key}")))
}

/// There is no console that could control this server.
pub async fn remote_control() -> Json<Value> {
    Json(remote_control_state())
}

/// The state of remote control: off, and nothing to switch on.
pub fn remote_control_state() -> Value {
    json!({
        "CanEnable": false, "IsEnabled": false, "IsConnected": false, "IsRegistering": false,
        "IsRegisteringFaulted": false, "IsRegisteringCompleted": false, "RegistrationUrl": null,
    })
}
