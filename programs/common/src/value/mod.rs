// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The value formats that users type: sizes, time spans, points in time, version lists.
//!
//! Every parser here is a pure function of its text (and of the current time, which is handed in). None of
//! them panics, whatever the text; what they do not accept they name together with the accepted form.

pub mod boolean;
pub mod path_list;
pub mod size;
pub mod time_point;
pub mod timespan;
pub mod version_list;

#[cfg(test)]
mod tests;

pub use boolean::parse_boolean;
pub use path_list::split_path_list;
pub use size::{SizeUnit, parse_size};
pub use time_point::parse_time_point;
pub use timespan::Timespan;
pub use version_list::VersionList;

/// Longest part of a rejected value that an error repeats, in characters; enough to recognise it.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// A value that does not have the form its option asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is not {accepted}")]
pub struct ValueError {
    /// The rejected text, cut to a length that fits a terminal line.
    pub shown: String,
    /// The accepted form, worded to follow "is not".
    pub accepted: String,
}

impl ValueError {
    /// Says that `text` is not `accepted`.
    pub fn new(text: &str, accepted: impl Into<String>) -> Self {
        let mut shown: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self {
            shown,
            accepted: accepted.into(),
        }
    }
}
