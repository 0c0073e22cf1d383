// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stands before the routes: tokens, host names, origins.

use std::net::IpAddr;

use axum::{
    extract::{Request, State as Extract},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    error::{Answer, ApiError},
    state::App,
};

/// Host names that always mean this machine.
const OWN_NAMES: [&str; 2] = ["localhost", "localhost.localdomain"];

/// The token of a request.
pub enum Presented<'a> {
    Bearer(&'a str),
    PreAuth(&'a str),
}

/// The token that a request carries in its headers.
pub fn presented(headers: &HeaderMap) -> Option<Presented<'_>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(Presented::Bearer(token.trim())),
        "preauth" => Some(Presented::PreAuth(token.trim())),
        _ => None,
    }
}

/// Whether a request may pass. A database that does not answer is no reason to sign anybody out.
pub async fn is_allowed(app: &App, headers: &HeaderMap) -> Answer<bool> {
    Ok(match presented(headers) {
        Some(Presented::Bearer(token)) => {
            app.auth
                .is_access(&app.database, token, app.now().as_second())
                .await?
        }
        Some(Presented::PreAuth(token)) => app.auth.is_pre_auth(token),
        None => false,
    })
}

/// Lets requests with a good token pass.
pub async fn require_token(Extract(app): Extract<App>, request: Request, next: Next) -> Response {
    match is_allowed(&app, request.headers()).await {
        Ok(true) => return next.run(request).await,
        Ok(false) => {}
        Err(error) => return error.into_response(),
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

/// Refuses names that are not this machine's: a page elsewhere must not reach it under a name of its own.
pub async fn check_host(Extract(app): Extract<App>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .map(|host| split_host(host).0.to_owned())
        .or_else(|| request.uri().host().map(str::to_owned))
        .unwrap_or_default();
    if is_allowed_host(&host, &app.settings.server_or_default("allowed-hostnames")) {
        return next.run(request).await;
    }
    let shown: String = host.chars().take(100).collect();
    ApiError::new(StatusCode::FORBIDDEN, format!("Invalid hostname: {shown}")).into_response()
}

fn is_allowed_host(host: &str, allowed: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || OWN_NAMES.iter().any(|name| name.eq_ignore_ascii_case(host))
        || allowed
            .split(';')
            .map(str::trim)
            .any(|name| name == "*" || (!name.is_empty() && name.eq_ignore_ascii_case(host)))
}

/// Host and port of a `Host` header.
pub fn split_host(text: &str) -> (&str, Option<u16>) {
    let after_brackets = text.rfind(']').map_or(0, |position| position + 1);
    match text[after_brackets..].rfind(':') {
        Some(colon) => {
            let colon = after_brackets + colon;
            (&text[..colon], text[colon + 1..].parse().ok())
        }
        None => (text, None),
    }
}

/// Answers to other origins, if they were named at the start.
pub async fn cross_origin(Extract(app): Extract<App>, request: Request, next: Next) -> Response {
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .filter(|origin| {
            let known = &app.options.cors_origins;
            origin
                .to_str()
                .is_ok_and(|origin| known.iter().any(|known| known == "*" || known == origin))
        })
        .cloned();
    let Some(origin) = origin else {
        return next.run(request).await;
    };
    let asked = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .cloned();
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if is_preflight {
        let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(asked) = asked {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_and_addresses_are_allowed_and_others_only_when_named() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "[::1]",
            "10.1.2.3",
            "localhost.localdomain",
        ] {
            assert!(is_allowed_host(host, ""), "{host}");
        }
        for host in [
            "evil.example",
            "",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ] {
            assert!(!is_allowed_host(host, "backup.example"), "{host}");
        }
        assert!(is_allowed_host("Backup.Example", "other; backup.example"));
        assert!(is_allowed_host("evil.example", "*"));
    }

    #[test]
    fn a_host_is_split_from_its_port_with_and_without_brackets() {
        assert_eq!(split_host("localhost:8200"), ("localhost", Some(8200)));
        assert_eq!(split_host("[::1]:8200"), ("[::1]", Some(8200)));
        assert_eq!(split_host("[::1]"), ("[::1]", None));
        assert_eq!(split_host("name"), ("name", None));
    }
}
