// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A report as the JSON object that report collectors read: `Data`, `Extra`, `LogLines`, `Exception`.

use serde_json::{Map, Value, json};

use super::report::Report;

/// The object. `extra` holds further names and values.
pub fn object(report: &Report, extra: &[(String, String)], lines: &[String]) -> Value {
    let mut extras = Map::new();
    for (name, value) in extra {
        extras.insert(name.clone(), json!(value));
    }
    json!({
        "Data": report.data(),
        "Extra": extras,
        "LogLines": lines,
        "Exception": report.failure,
    })
}
