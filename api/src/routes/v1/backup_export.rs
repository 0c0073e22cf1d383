// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A job as a file, or as a command line.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    access,
    dto::backup::{self, Shown},
    error::{Answer, ApiError},
    json::{Query, encode},
    operations::arguments,
    state::App,
    target_url,
};

pub async fn export(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Answer<Response> {
    let token = query.text("token").unwrap_or_default();
    let is_allowed = if token.is_empty() {
        access::is_allowed(&app, &headers).await?
    } else {
        app.auth.is_operation(token, "export", app.now().as_second())
    };
    if !is_allowed {
        return Ok((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response());
    }
    let one = app.backup(&id).await?;
    let schedules = app.database.schedules().await?;
    let shown = if query.boolean("export-passwords") {
        Shown::Whole
    } else {
        Shown::WithoutSecrets
    };
    if query
        .text("passphrase")
        .is_some_and(|passphrase| !passphrase.is_empty())
    {
        return Err(ApiError::bad_request(
            "Encrypted exports are not part of this version; export without a passphrase and keep the file safe",
        ));
    }
    let file = backup::export(&app, &one, schedules.get(&id), shown);
    let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    let name = encode(&format!("{}-duplicati-config.json", one.name));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename={name}"),
        ),
    ];
    Ok((headers, text).into_response())
}

pub async fn command_line(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    let (url, sources, options) = parts(&app, &id, query.boolean("export-passwords")).await?;
    let words = ["duplicati-cli".to_owned(), "backup".to_owned(), url]
        .into_iter()
        .chain(sources)
        .chain(options)
        .map(|word| quote(&word));
    Ok(Json(json!({"Command": words.collect::<Vec<_>>().join(" ")})))
}

pub async fn arguments_only(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    let (url, sources, options) = parts(&app, &id, query.boolean("export-passwords")).await?;
    Ok(Json(
        json!({"Backend": url, "Arguments": sources, "Options": options}),
    ))
}

async fn parts(app: &App, id: &str, with_secrets: bool) -> Answer<(String, Vec<String>, Vec<String>)> {
    let one = app.backup(id).await?;
    let is_secret = |name: &str| app.is_secret(name);
    let url = if with_secrets {
        one.target_url.clone()
    } else {
        target_url::strip(&one.target_url, &is_secret)
    };
    let options = arguments::options_as_text(app, &one, with_secrets);
    Ok((url, one.sources, options))
}

/// A word for the shell.
fn quote(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_out_of_the_shell_as_they_went_in() {
        assert_eq!(quote("--a=b"), "--a=b");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }
}
