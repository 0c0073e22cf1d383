// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The few pages that the server has itself.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

const LOGIN: &str = include_str!("../../web/login.html");
const START: &str = include_str!("../../web/start.html");

fn page(text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}

pub async fn health() -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], "Healthy").into_response()
}

pub async fn start_page() -> Response {
    page(START)
}

/// Signs in with a password, or with the token of a link.
pub async fn login_page() -> Response {
    page(LOGIN)
}
