// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Version 2 of the interface: every answer has status 200, and an envelope that says how it went.

pub mod backup_listing;
pub mod backup_versions;
pub mod destination;
pub mod filesystem;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::error::Answer;

/// The envelope of an answer.
pub fn envelope(answer: Answer<Value>) -> Response {
    match answer {
        Ok(data) => {
            Json(json!({"Success": true, "Error": null, "StatusCode": "OK", "Data": data})).into_response()
        }
        Err(error) => error.into_v2(),
    }
}

/// One page of rows. Pages count from 0; a size of 0 is everything.
pub fn paged(body: &Value, answer: Answer<Vec<Value>>) -> Response {
    let rows = match answer {
        Ok(rows) => rows,
        Err(error) => return error.into_v2(),
    };
    let number = |name: &str| crate::json::integer(body, name).unwrap_or(0).max(0) as usize;
    let (page, size, total) = (number("Page"), number("PageSize"), rows.len());
    let (rows, pages): (Vec<Value>, usize) = match size {
        0 => (rows, 1),
        size => (
            rows.into_iter()
                .skip(page.saturating_mul(size))
                .take(size)
                .collect(),
            total.div_ceil(size),
        ),
    };
    Json(json!({
        "Success": true, "Error": null, "StatusCode": "OK", "Data": rows,
        "PageInfo": {"Page": page, "PageSize": size, "Total": total, "Pages": pages},
    }))
    .into_response()
}
