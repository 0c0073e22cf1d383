// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can be done with a job; each answer is the number of a task.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::Value;

use crate::{
    dto::task::started,
    error::{Answer, ApiError},
    json::{self, Body, OptionalBody, Query},
    operations::{self, Operation, listing},
    state::App,
};

async fn queue(app: &App, id: &str, operation: Operation) -> Answer<Json<Value>> {
    // Unknown jobs are told at once, not when their turn comes.
    app.backup(id).await?;
    let task = operations::enqueue(app, id, operation, false).await?;
    Ok(Json(started(task)))
}

pub async fn start(State(app): State<App>, Path(id): Path<String>, query: Query) -> Answer<Json<Value>> {
    app.backup(&id).await?;
    let operation = Operation::new("Backup", "backup");
    let task = operations::enqueue(&app, &id, operation, query.boolean("skipQueue")).await?;
    Ok(Json(started(task)))
}

pub async fn restore(
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Answer<Json<Value>> {
    let mut operation = Operation::new("Restore", "restore");
    let paths = json::texts(&body, "paths").unwrap_or_default();
    operation.arguments = listing::restore_arguments(&paths);
    operation = listing::at_time(operation, json::text(&body, "time").as_deref());
    if let Some(target) = json::text(&body, "restore_path").filter(|path| !path.is_empty()) {
        if target.starts_with('@') {
            return Err(ApiError::bad_request(
                "Restoring to another destination is not possible; name a folder",
            ));
        }
        let target = operations::arguments::expand(&target);
        let target = target.strip_prefix("file://").unwrap_or(&target);
        operation = operation.option("restore-path", target);
    }
    if let Some(passphrase) = json::text(&body, "passphrase").filter(|text| !text.is_empty()) {
        operation = operation.option("passphrase", passphrase);
    }
    for (field, option) in [
        ("overwrite", "overwrite"),
        ("permissions", "restore-permissions"),
        ("skip_metadata", "skip-metadata"),
    ] {
        if let Some(value) = json::boolean(&body, field) {
            operation = operation.option(option, value.to_string());
        }
    }
    queue(&app, &id, operation).await
}

pub async fn repair(
    State(app): State<App>,
    Path(id): Path<String>,
    OptionalBody(_): OptionalBody,
) -> Answer<Json<Value>> {
    queue(&app, &id, Operation::new("Repair", "repair")).await
}

/// Clients ask for this before they browse a temporary job. There is no database to fill: browsing reads the destination.
pub async fn repair_update(
    State(app): State<App>,
    Path(id): Path<String>,
    OptionalBody(_): OptionalBody,
) -> Answer<Json<Value>> {
    queue(&app, &id, Operation::new("ListFilesets", "list-filesets")).await
}

pub async fn verify(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let samples = match app.backup(&id).await?.option("backup-test-samples") {
        Some(count) if count.trim().parse::<u32>().is_ok_and(|count| count > 0) => count.trim().to_owned(),
        _ => "1".to_owned(),
    };
    queue(&app, &id, Operation::new("Test", "test").argument(samples)).await
}

pub async fn compact(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    queue(&app, &id, Operation::new("Compact", "compact")).await
}

pub async fn vacuum(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    queue(&app, &id, Operation::new("Vacuum", "vacuum")).await
}

pub async fn create_report(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let name = format!("report-{id}-{}.json", app.now().as_second());
    let path = app.options.data_folder.join(name);
    queue(
        &app,
        &id,
        Operation::new("CreateReport", "create-report").argument(path),
    )
    .await
}

pub async fn report_remote_size(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<Value>> {
    queue(&app, &id, Operation::new("ListRemote", "list-filesets")).await
}
