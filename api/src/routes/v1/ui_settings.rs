// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Values that clients keep here.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use crate::{
    error::{Answer, ApiError},
    json::{Body, text_map},
    state::App,
};

pub async fn schemes(State(app): State<App>) -> Answer<Json<Value>> {
    Ok(Json(app.database.ui_schemes().await?.into()))
}

pub async fn values(State(app): State<App>, Path(scheme): Path<String>) -> Answer<Json<Value>> {
    Ok(Json(json!(app.database.ui_values(&scheme).await?)))
}

pub async fn change(State(app): State<App>, Path(scheme): Path<String>, Body(body): Body) -> Answer<()> {
    let values = text_map(&body).ok_or_else(|| ApiError::bad_request("An object of values is needed"))?;
    app.database.set_ui_values(&scheme, &values).await?;
    Ok(())
}
