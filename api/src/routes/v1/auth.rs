// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signing in, staying signed in, and tokens for single purposes.

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    access,
    auth::{NO_SIGNIN_TOKENS, PASSWORD_CONFIG, Session, password},
    error::{Answer, ApiError},
    https::listener::Peer,
    json::{self, Body, OptionalBody},
    state::App,
};

/// Where the cookie is sent to.
const COOKIE_PATH: &str = "/api/v1/auth/refresh";
/// Life of the cookie, seconds; the token in it may end sooner.
const COOKIE_SECONDS: i64 = 30 * 86_400;

/// The name of the cookie depends on the port, so that two servers of one machine do not take each other's.
fn cookie_name(headers: &HeaderMap) -> (String, String) {
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (name, port) = access::split_host(host);
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-.:[]".contains(character);
    // The name goes into a header again.
    let name: String = name.chars().filter(|character| is_plain(*character)).collect();
    (format!("RefreshToken_{}", port.unwrap_or(0)), name)
}

fn with_cookie(
    app: &App,
    peer: Peer,
    headers: &HeaderMap,
    token: &str,
    seconds: i64,
    body: Value,
) -> Response {
    let (name, host) = cookie_name(headers);
    let expires = app
        .now()
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or_else(|_| app.now())
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let domain = if host.is_empty() {
        String::new()
    } else {
        format!("; domain={host}")
    };
    // Over plain HTTP a browser would not keep it.
    let secure = if peer.is_secure { "; secure" } else { "" };
    let cookie = format!(
        "{name}={token}; expires={expires}{domain}; path={COOKIE_PATH}; samesite=strict; httponly{secure}"
    );
    let mut response = Json(body).into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn signed_in(app: &App, peer: Peer, headers: &HeaderMap, session: &Session) -> Response {
    with_cookie(
        app,
        peer,
        headers,
        &session.refresh_token,
        COOKIE_SECONDS,
        session.body(),
    )
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let (name, _) = cookie_name(headers);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|part| part.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}

/// Whether the password of a request is right.
async fn is_right(app: &App, peer: Peer, body: &Value) -> bool {
    let given = json::text(body, "Password").unwrap_or_default();
    let stored = app.settings.server(PASSWORD_CONFIG).unwrap_or_default();
    let check = async move {
        tokio::task::spawn_blocking(move || password::is_right(&given, &stored))
            .await
            .unwrap_or(false)
    };
    let is_right = app
        .auth
        .throttle
        .attempt(peer.address.ip(), app.now().as_second(), check)
        .await;
    if !is_right {
        tracing::warn!(address = %peer.address.ip(), "a wrong password was given");
    }
    is_right
}

pub async fn login(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    if !is_right(&app, peer, &body).await {
        return Err(ApiError::unauthorized("Failed to log in"));
    }
    let stay = json::boolean(&body, "RememberMe").unwrap_or(false);
    let session = app
        .auth
        .begin(&app.database, "webserver", stay, app.now().as_second())
        .await?;
    Ok(signed_in(&app, peer, &headers, &session))
}

pub async fn signin(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    if app.settings.is_on(NO_SIGNIN_TOKENS) {
        return Err(ApiError::unauthorized("Signin tokens are disabled"));
    }
    let token = json::text(&body, "SigninToken").unwrap_or_default();
    let now = app.now().as_second();
    let user = app
        .auth
        .check_signin(&token, now)
        .ok_or_else(|| ApiError::unauthorized("Failed to sign in"))?;
    let stay = json::boolean(&body, "RememberMe").unwrap_or(false);
    let session = app.auth.begin(&app.database, &user, stay, now).await?;
    Ok(signed_in(&app, peer, &headers, &session))
}

pub async fn refresh(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    OptionalBody(body): OptionalBody,
) -> Answer {
    let token = cookie(&headers)
        .ok_or_else(|| ApiError::unauthorized("Authorization failed due to missing cookie."))?;
    let nonce = json::text(&body, "Nonce");
    let session = app
        .auth
        .refresh(&app.database, &token, nonce.as_deref(), app.now().as_second())
        .await?;
    Ok(signed_in(&app, peer, &headers, &session))
}

pub async fn logout(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    OptionalBody(_): OptionalBody,
) -> Answer {
    if let Some(token) = cookie(&headers) {
        app.auth.end(&app.database, &token, app.now().as_second()).await?;
    }
    Ok(with_cookie(
        &app,
        peer,
        &headers,
        "",
        -COOKIE_SECONDS,
        json!({"success": true}),
    ))
}

pub async fn status(State(app): State<App>, headers: HeaderMap) -> Answer<Json<Value>> {
    if !access::is_allowed(&app, &headers).await? {
        return Ok(Json(json!({"authorized": false, "message": "Not authorized"})));
    }
    let token = app.auth.operation_token("websocket", app.now().as_second()).ok();
    Ok(Json(
        json!({"authorized": true, "message": "Authorized", "socketToken": token}),
    ))
}

pub async fn issue_signin_token(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(body): Body,
) -> Answer<Json<Value>> {
    if app.settings.is_on(NO_SIGNIN_TOKENS) {
        return Err(ApiError::unauthorized("Signin tokens are disabled"));
    }
    if !is_right(&app, peer, &body).await {
        return Err(ApiError::unauthorized("Failed to log in"));
    }
    Ok(Json(
        json!({"Token": app.auth.signin_token("web-api", app.now().as_second())}),
    ))
}

pub async fn issue_token(State(app): State<App>, Path(operation): Path<String>) -> Answer<Json<Value>> {
    let token = app.auth.operation_token(&operation, app.now().as_second())?;
    Ok(Json(json!({"Token": token})))
}

pub async fn issue_forever_token(State(app): State<App>) -> Answer<Json<Value>> {
    let token = app.auth.forever_token(app.now().as_second())?;
    Ok(Json(json!({"AccessToken": token, "RefreshNonce": null})))
}
