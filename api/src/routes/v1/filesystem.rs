// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Looking around on this machine, for the pickers of sources and folders.

use std::{fs::Metadata, io, os::unix::fs::FileTypeExt, path::Path};

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    error::{Answer, ApiError},
    json::{Body, Query, text},
    operations::arguments::{expand, special_folders},
    state::App,
};

/// Entries of a folder that are shown; a person cannot look through more.
const ENTRIES_MAX: usize = 50_000;

pub async fn list(State(_): State<App>, query: Query, Body(body): Body) -> Answer<Json<Value>> {
    let path = text(&body, "path").unwrap_or_default();
    let (only_folders, show_hidden) = (query.boolean("onlyFolders"), query.boolean("showHidden"));
    if path.is_empty() || !(path.starts_with('/') || path.starts_with('%')) {
        return Err(ApiError::bad_request(
            "The path parameter must be an absolute path",
        ));
    }
    let real = expand(&path);
    if !real.starts_with('/') {
        return Err(ApiError::bad_request(
            "The path names a folder that does not exist here",
        ));
    }
    let listed = tokio::task::spawn_blocking(move || nodes(&path, &real, only_folders, show_hidden)).await;
    match listed {
        Ok(Ok(nodes)) => Ok(Json(Value::Array(nodes))),
        Ok(Err(error)) => Err(ApiError::internal(format!("Failed to process the path: {error}"))),
        Err(_) => Err(ApiError::internal("An error occurred")),
    }
}

pub async fn validate(Body(body): Body) -> Answer<()> {
    let path = expand(&text(&body, "path").unwrap_or_default());
    if path.starts_with('/') && Path::new(&path).symlink_metadata().is_ok() {
        return Ok(());
    }
    Err(ApiError::not_found("The path does not exist"))
}

fn nodes(shown: &str, real: &str, only_folders: bool, show_hidden: bool) -> io::Result<Vec<Value>> {
    let mut found = Vec::new();
    let base = format!("{}/", real.trim_end_matches('/'));
    let shown_base = format!("{}/", shown.trim_end_matches('/'));
    for entry in std::fs::read_dir(&base)?.take(ENTRIES_MAX) {
        let Ok(entry) = entry else { continue };
        // A name that is not UTF-8 cannot be written in JSON; it can be backed up with its folder.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let is_hidden = name.starts_with('.');
        if is_hidden && !show_hidden {
            continue;
        }
        let path = format!("{base}{name}");
        let Ok(metadata) = entry.metadata() else { continue };
        let node = node(
            &name,
            &format!("{shown_base}{name}"),
            &path,
            &metadata,
            only_folders,
            shown != real,
        );
        let is_folder = node["cls"] == "folder";
        if only_folders && !is_folder {
            continue;
        }
        found.push((!is_folder, name, node));
    }
    found.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
    let mut nodes: Vec<Value> = Vec::new();
    if real == "/" {
        nodes.extend(special_folders().into_iter().map(|(name, path)| {
            let label = path.rsplit('/').next().unwrap_or_default();
            json!({
                "text": if name == "%HOME%" { "Home" } else { label }, "id": name, "cls": "folder",
                "iconCls": "x-tree-icon-special", "check": false, "leaf": false, "resolvedpath": path,
                "hidden": false, "systemFile": false, "temporary": false, "symlink": false, "fileSize": -1,
            })
        }));
    }
    nodes.extend(found.into_iter().map(|(_, _, node)| node));
    Ok(nodes)
}

fn node(
    name: &str,
    shown: &str,
    path: &str,
    metadata: &Metadata,
    only_folders: bool,
    is_special: bool,
) -> Value {
    let is_link = metadata.file_type().is_symlink();
    let is_folder = metadata.is_dir();
    let children = if is_folder {
        has_children(path, only_folders)
    } else {
        Ok(false)
    };
    let icon = match (&children, is_link) {
        (Err(_), _) => "x-tree-icon-locked",
        (_, true) => "x-tree-icon-symlink",
        _ if is_folder => "x-tree-icon-parent",
        _ => "x-tree-icon-leaf",
    };
    let resolved = if is_link {
        std::fs::read_link(path)
            .ok()
            .map(|target| target.display().to_string())
    } else {
        is_special.then(|| path.to_owned())
    };
    let is_special_file = metadata.file_type().is_fifo() || metadata.file_type().is_socket();
    json!({
        "text": name,
        "id": if is_folder { format!("{shown}/") } else { shown.to_owned() },
        "cls": if is_folder { "folder" } else { "file" },
        "iconCls": icon, "check": false,
        "leaf": !children.unwrap_or(false),
        "resolvedpath": resolved,
        "hidden": name.starts_with('.'), "systemFile": false, "temporary": false, "symlink": is_link,
        "fileSize": if is_folder || is_special_file { -1 } else { metadata.len() as i64 },
    })
}

fn has_children(path: &str, only_folders: bool) -> io::Result<bool> {
    let mut entries = std::fs::read_dir(path)?;
    Ok(entries.any(|entry| {
        entry.is_ok_and(|entry| !only_folders || entry.file_type().is_ok_and(|kind| kind.is_dir()))
    }))
}
