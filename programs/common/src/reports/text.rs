// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A report as text for people and simple scripts: one `Name: value` per line.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::report::Report;

/// Spaces for each level of nesting.
const INDENT: usize = 2;

/// The whole text.
pub fn render(report: &Report, extra: &[(String, String)], lines: &[String]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(failure) = &report.failure {
        let first = failure.lines().next().unwrap_or_default();
        let _ = write!(text, "Failed: {first}\nDetails: {failure}\n\n");
    }
    if let Some(data) = report.data() {
        object(&mut text, &data, 0);
    }
    for (name, value) in extra {
        let _ = writeln!(text, "{name}: {value}");
    }
    if !lines.is_empty() {
        text.push_str("\nLog data:\n");
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

fn object(text: &mut String, map: &Map<String, Value>, depth: usize) {
    for (name, value) in map {
        let _ = write!(text, "{}{name}: ", " ".repeat(depth * INDENT));
        one(text, value, depth);
    }
}

fn one(text: &mut String, value: &Value, depth: usize) {
    let indent = " ".repeat(depth * INDENT);
    match value {
        Value::Null => text.push('\n'),
        Value::String(value) => {
            let _ = writeln!(text, "{value}");
        }
        Value::Bool(value) => text.push_str(if *value { "True\n" } else { "False\n" }),
        Value::Number(value) => {
            let _ = writeln!(text, "{value}");
        }
        Value::Object(map) => {
            text.push('\n');
            object(text, map, depth + 1);
        }
        Value::Array(values) if values.is_empty() => text.push_str("[]\n"),
        Value::Array(values) => {
            text.push_str("[\n");
            for value in values {
                let _ = write!(text, "{}", " ".repeat((depth + 1) * INDENT));
                one(text, value, depth + 1);
            }
            let _ = writeln!(text, "{indent}]");
        }
    }
}
