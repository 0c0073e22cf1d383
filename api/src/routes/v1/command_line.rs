// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands as on the command line.

use axum::{Json, extract::State};
use serde_json::Value;

use crate::state::App;

pub async fn commands(State(app): State<App>) -> Json<Value> {
    Json(app.commands.commands().into())
}
