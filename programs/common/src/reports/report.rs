// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is told about one operation.

use serde_json::{Map, Value};

use super::facts::Facts;

/// Keys of a result that reports leave out: their lines come as log lines, chosen by level.
const LEFT_OUT: [&str; 3] = ["Messages", "Warnings", "Errors"];

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Success,
    Warning,
    Error,
    Fatal,
}

impl Level {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Warning => "Warning",
            Self::Error => "Error",
            Self::Fatal => "Fatal",
        }
    }

    /// The level with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Success, Self::Warning, Self::Error, Self::Fatal]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

/// A report before it is put into words.
#[derive(Debug, Clone)]
pub struct Report {
    /// Such as `Backup`.
    pub operation: String,
    pub level: Level,
    /// The result, with Duplicati's keys; none when the operation had none.
    pub result: Option<Map<String, Value>>,
    /// What ended the operation before its time.
    pub failure: Option<String>,
    pub facts: Facts,
}

impl Report {
    /// The result as reports show it.
    pub fn data(&self) -> Option<Map<String, Value>> {
        let mut data = self.result.clone()?;
        data.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
        Some(data)
    }
}

/// The lines that fit, with a remark on those that do not. Without a limit all fit.
pub fn limited(lines: &[String], max: Option<usize>) -> Vec<String> {
    let max = max.unwrap_or(usize::MAX);
    let mut shown: Vec<String> = lines.iter().take(max).cloned().collect();
    if lines.len() > max {
        shown.push(format!("... and {} more", lines.len() - max));
    }
    shown
}
