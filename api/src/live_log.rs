// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The newest log lines, for clients that look on.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Value, json};

/// Lines that are kept.
const LINES_MAX: usize = 5_000;
/// Longest text that is kept of a line, characters.
const TEXT_CHARACTERS_MAX: usize = 4_000;

/// How much a line matters, from most to least detailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    ExplicitOnly,
    Profiling,
    Verbose,
    Retry,
    Information,
    DryRun,
    Warning,
    Error,
}

/// All levels with their names.
pub const LOG_LEVELS: [(LogLevel, &str); 8] = [
    (LogLevel::ExplicitOnly, "ExplicitOnly"),
    (LogLevel::Profiling, "Profiling"),
    (LogLevel::Verbose, "Verbose"),
    (LogLevel::Retry, "Retry"),
    (LogLevel::Information, "Information"),
    (LogLevel::DryRun, "DryRun"),
    (LogLevel::Warning, "Warning"),
    (LogLevel::Error, "Error"),
];

impl LogLevel {
    pub fn name(self) -> &'static str {
        LOG_LEVELS[self as usize].1
    }

    /// A level by its name, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        LOG_LEVELS
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(level, _)| *level)
    }
}

/// One line.
pub struct LiveLine {
    pub when: Timestamp,
    pub level: LogLevel,
    pub tag: String,
    pub message_id: String,
    pub text: String,
    pub backup_id: Option<String>,
    pub task_id: Option<u64>,
}

/// The lines, with rising numbers.
#[derive(Default)]
pub struct LiveLog {
    lines: Mutex<(u64, VecDeque<(u64, LiveLine)>)>,
}

impl LiveLog {
    /// Adds a line.
    pub fn add(&self, mut line: LiveLine) {
        if line.text.chars().count() > TEXT_CHARACTERS_MAX {
            line.text = line.text.chars().take(TEXT_CHARACTERS_MAX).collect();
        }
        let (last, lines) = &mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back((*last, line));
    }

    /// The newest `count` lines of at least a level behind a number, oldest first.
    pub fn after(&self, number: u64, level: LogLevel, count: usize) -> Vec<Value> {
        let (_, lines) = &*self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Value> = lines
            .iter()
            .rev()
            .take_while(|(id, _)| *id > number)
            .filter(|(_, line)| line.level >= level)
            .take(count)
            .map(|(id, line)| {
                json!({
                    "When": line.when.to_string(), "ID": id, "Message": line.text, "Tag": line.tag,
                    "MessageID": line.message_id, "ExceptionID": null, "Type": line.level.name(), "Exception": null,
                    "BackupID": line.backup_id, "TaskID": line.task_id.map(|id| id.to_string()),
                })
            })
            .collect();
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: LogLevel, text: &str) -> LiveLine {
        LiveLine {
            when: Timestamp::UNIX_EPOCH,
            level,
            tag: "Backup".to_owned(),
            message_id: "X".to_owned(),
            text: text.to_owned(),
            backup_id: None,
            task_id: None,
        }
    }

    #[test]
    fn lines_are_found_behind_a_number_and_from_a_level_on() {
        let log = LiveLog::default();
        for (level, text) in [
            (LogLevel::Verbose, "a"),
            (LogLevel::Error, "b"),
            (LogLevel::Warning, "c"),
        ] {
            log.add(line(level, text));
        }
        let texts = |number, level, count| -> Vec<String> {
            log.after(number, level, count)
                .iter()
                .map(|line| line["Message"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(texts(0, LogLevel::Verbose, 10), ["a", "b", "c"]);
        assert_eq!(texts(0, LogLevel::Warning, 10), ["b", "c"]);
        assert_eq!(texts(2, LogLevel::Verbose, 10), ["c"]);
        assert_eq!(texts(0, LogLevel::Verbose, 2), ["b", "c"]);
    }

    #[test]
    fn old_lines_make_room() {
        let log = LiveLog::default();
        for _ in 0..LINES_MAX + 10 {
            log.add(line(LogLevel::Error, "x"));
        }
        let kept = log.after(0, LogLevel::Error, usize::MAX);
        assert_eq!(kept.len(), LINES_MAX);
        assert_eq!(kept[0]["ID"], 11);
    }
}
