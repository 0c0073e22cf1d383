// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the server keeps about jobs. None of it can be printed by accident: jobs hold secrets.

use std::collections::BTreeMap;

use duplicati_actors::schedule::{Repeat, Schedule as Rules, parse_weekday};
use jiff::{Timestamp, civil::Weekday};

/// An option of a job.
#[derive(Clone)]
pub struct Setting {
    pub filter: String,
    /// With or without dashes in front, as it was given.
    pub name: String,
    pub value: String,
}

/// An include or exclude of a job.
#[derive(Clone)]
pub struct FilterRow {
    pub order: i64,
    pub include: bool,
    pub expression: String,
}

/// A job.
#[derive(Clone)]
pub struct Backup {
    /// A number, or a GUID for a temporary one. Empty before it is stored.
    pub id: String,
    pub external_id: Option<String>,
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    pub target_url: String,
    pub connection_string_id: i64,
    pub operation_type: String,
    /// Relative to the data folder, or absolute.
    pub database_path: String,
    pub sources: Vec<String>,
    pub settings: Vec<Setting>,
    pub filters: Vec<FilterRow>,
    pub metadata: BTreeMap<String, String>,
    /// An array, as clients write it.
    pub additional_targets: serde_json::Value,
}

impl Backup {
    /// Whether it lives in memory only.
    pub fn is_temporary(&self) -> bool {
        self.id.contains('-')
    }

    /// The value of an option; the form with dashes wins.
    pub fn option(&self, name: &str) -> Option<&str> {
        let find = |wanted: &str| {
            self.settings
                .iter()
                .find(|setting| setting.name.eq_ignore_ascii_case(wanted))
                .map(|setting| setting.value.as_str())
        };
        find(&format!("--{name}")).or_else(|| find(name))
    }
}

/// When a job runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub id: i64,
    pub tags: Vec<String>,
    pub time: Timestamp,
    pub repeat: String,
    pub last_run: Option<Timestamp>,
    /// `AllowedWeekDays=Monday,Tuesday`, or empty.
    pub rule: String,
}

/// What `rule` begins with.
const ALLOWED_DAYS: &str = "AllowedWeekDays=";

impl Schedule {
    /// The days on which it runs; none means all.
    pub fn allowed_days(&self) -> Vec<Weekday> {
        let parts = self
            .rule
            .split(';')
            .filter_map(|part| part.strip_prefix(ALLOWED_DAYS));
        parts
            .flat_map(|days| days.split(','))
            .filter_map(parse_weekday)
            .collect()
    }

    /// The text of a rule for days.
    pub fn rule_for(days: &[Weekday]) -> String {
        if days.is_empty() {
            return String::new();
        }
        let names: Vec<String> = days.iter().map(|day| format!("{day:?}")).collect();
        format!("{ALLOWED_DAYS}{}", names.join(","))
    }

    /// The rules that the scheduler follows; none when it never repeats.
    pub fn rules(&self) -> Option<Rules> {
        Some(Rules {
            time: self.time,
            repeat: Repeat::parse(&self.repeat).ok()?,
            last_run: self.last_run,
            allowed_days: self.allowed_days(),
        })
    }
}

/// `sun`, `mon`, …
pub fn short_day(day: Weekday) -> &'static str {
    match day {
        Weekday::Sunday => "sun",
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
    }
}
