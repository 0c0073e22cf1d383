// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Jobs as clients send them: reading, putting secrets back in the place of placeholders, and checking.

use std::collections::BTreeMap;

use duplicati_actors::schedule::{Repeat, parse_weekday};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    error::{Answer, ApiError},
    json,
    model::{Backup, FilterRow, Schedule, Setting},
    settings::PLACEHOLDER,
    state::App,
    target_url,
};

/// Least time between two runs, seconds.
const REPEAT_SECONDS_MIN: i64 = 300;
/// Most rows of one kind in a job.
const ROWS_MAX: usize = 100_000;
/// Options that the store keeps without dashes, as Duplicati does.
const PLAIN_OPTIONS: [&str; 7] = [
    "encryption-module",
    "compression-module",
    "passphrase",
    "dblock-size",
    "keep-time",
    "keep-versions",
    "retention-policy",
];

/// Reads a job.
pub fn backup(input: &Value) -> Answer<Backup> {
    let array = |name: &str| -> Answer<Vec<&Value>> {
        let rows: Vec<&Value> = json::field(input, name)
            .and_then(Value::as_array)
            .map(|rows| rows.iter().collect())
            .unwrap_or_default();
        if rows.len() > ROWS_MAX {
            return Err(ApiError::bad_request(format!(
                "{name} has more than {ROWS_MAX} entries"
            )));
        }
        Ok(rows)
    };
    let settings = array("Settings")?.into_iter().filter_map(|row| {
        Some(Setting {
            filter: json::text(row, "Filter").unwrap_or_default(),
            name: json::text(row, "Name").filter(|name| !name.is_empty())?,
            value: json::text(row, "Value").unwrap_or_default(),
        })
    });
    let filters = array("Filters")?
        .into_iter()
        .enumerate()
        .filter_map(|(position, row)| {
            Some(FilterRow {
                order: json::integer(row, "Order").unwrap_or(position as i64),
                include: json::boolean(row, "Include").unwrap_or(false),
                expression: json::text(row, "Expression")?,
            })
        });
    let metadata: BTreeMap<String, String> = json::field(input, "Metadata")
        .and_then(json::text_map)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let text = |name: &str| json::text(input, name);
    let mut backup = Backup {
        id: String::new(),
        external_id: text("ExternalID"),
        name: text("Name").unwrap_or_default(),
        description: text("Description").unwrap_or_default(),
        tags: json::texts(input, "Tags").unwrap_or_default(),
        target_url: text("TargetURL").unwrap_or_default(),
        connection_string_id: json::integer(input, "ConnectionStringID").unwrap_or(-1),
        operation_type: text("OperationType").unwrap_or_else(|| "Backup".to_owned()),
        database_path: String::new(),
        sources: json::texts(input, "Sources").unwrap_or_default(),
        settings: settings.collect(),
        filters: filters.collect(),
        metadata,
        additional_targets: json::field(input, "AdditionalTargetURLs")
            .filter(|value| value.is_array())
            .cloned()
            .unwrap_or_else(|| Value::Array(Vec::new())),
    };
    backup.filters.sort_by_key(|filter| filter.order);
    Ok(backup)
}

/// Reads a schedule; null and absent mean none.
pub fn schedule(input: &Value, now: Timestamp) -> Answer<Option<Schedule>> {
    let Some(input) = json::field(input, "Schedule") else {
        return Ok(None);
    };
    let repeat = json::text(input, "Repeat").unwrap_or_default();
    let is_long_enough = Repeat::parse(&repeat)
        .ok()
        .and_then(|repeat| repeat.flat_seconds())
        .is_some_and(|seconds| seconds > REPEAT_SECONDS_MIN);
    if !repeat.is_empty() && !is_long_enough {
        return Err(ApiError::bad_request(
            "The schedule's repeat must be a time span of more than 5 minutes, such as 1D",
        ));
    }
    let time = match json::text(input, "Time").filter(|text| !text.is_empty()) {
        None => now,
        Some(text) => {
            time(&text).ok_or_else(|| ApiError::bad_request("The schedule's time is not an ISO 8601 time"))?
        }
    };
    let days = json::texts(input, "AllowedDays").map(|days| {
        days.iter()
            .map(|day| {
                parse_weekday(day)
                    .ok_or_else(|| ApiError::bad_request(format!("{day:?} is not a day of the week")))
            })
            .collect::<Answer<Vec<_>>>()
    });
    let rule = match days.transpose()? {
        Some(days) => Schedule::rule_for(&days),
        None => json::text(input, "Rule").unwrap_or_default(),
    };
    Ok(Some(Schedule {
        id: 0,
        tags: Vec::new(),
        time,
        repeat,
        // The zero date means that it never ran.
        last_run: json::text(input, "LastRun")
            .and_then(|text| self::time(&text))
            .filter(|time| *time > Timestamp::UNIX_EPOCH),
        rule,
    }))
}

/// A time with a zone; one without is taken as UTC.
fn time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| format!("{text}Z").parse().ok())
}

/// Puts stored secrets in the place of placeholders.
pub fn unmask(app: &App, backup: &mut Backup, stored: Option<&Backup>) -> Answer<()> {
    let is_secret = |name: &str| app.is_secret(name);
    for setting in &mut backup.settings {
        if !target_url::is_placeholder(&setting.value) {
            continue;
        }
        let plain = setting.name.trim_start_matches('-');
        setting.value = stored
            .and_then(|stored| stored.option(plain))
            .ok_or_else(|| ApiError::bad_request("Settings is password placeholder value"))?
            .to_owned();
    }
    backup.target_url = target_url::unmask(
        &backup.target_url,
        stored.map(|stored| stored.target_url.as_str()),
        &is_secret,
    )
    .map_err(|_| ApiError::bad_request("TargetURL is password placeholder value"))?;
    for (position, source) in backup.sources.iter_mut().enumerate() {
        if source.starts_with('@') {
            let known = stored
                .and_then(|stored| stored.sources.get(position))
                .map(String::as_str);
            *source = target_url::unmask(source, known, &is_secret)
                .map_err(|_| ApiError::bad_request("Source is password placeholder value"))?;
        }
    }
    let known: BTreeMap<String, String> = stored
        .into_iter()
        .flat_map(|stored| stored.additional_targets.as_array().into_iter().flatten())
        .filter_map(|target| Some((json::text(target, "UrlKey")?, json::text(target, "TargetUrl")?)))
        .collect();
    for target in backup.additional_targets.as_array_mut().into_iter().flatten() {
        let (key, url) = (json::text(target, "UrlKey"), json::text(target, "TargetUrl"));
        if let Some(url) = url {
            let known = key.and_then(|key| known.get(&key)).map(String::as_str);
            let url = target_url::unmask(&url, known, &is_secret)
                .map_err(|_| ApiError::bad_request("TargetURL is password placeholder value"))?;
            target["TargetUrl"] = url.into();
        }
    }
    Ok(())
}

/// Checks a job that is to be stored.
pub fn check(app: &App, backup: &Backup) -> Answer<()> {
    let refuse = |message: &str| Err(ApiError::bad_request(message));
    if backup.name.trim().is_empty() {
        return refuse("Missing a name");
    }
    if backup.target_url.trim().is_empty() {
        return refuse("Missing a target");
    }
    if backup.target_url == PLACEHOLDER {
        return refuse("TargetURL is password placeholder value");
    }
    if backup.sources.is_empty() || backup.sources.iter().any(|source| source.trim().is_empty()) {
        return refuse("Invalid source list");
    }
    if backup.sources.iter().any(|source| source == PLACEHOLDER) {
        return refuse("Source is password placeholder value");
    }
    let for_jobs = app.settings.for_jobs();
    let option = |name: &str| -> Option<String> {
        backup
            .option(name)
            .map(str::to_owned)
            .or_else(|| for_jobs.get(&format!("--{name}")).cloned())
    };
    let is_open = option("no-encryption").is_some_and(|value| json::boolean_text(&value).unwrap_or(true));
    let has_other_key = option("identity").is_some() || option("recipient").is_some();
    if !is_open && !has_other_key && option("passphrase").is_none_or(|passphrase| passphrase.is_empty()) {
        return refuse("Missing passphrase");
    }
    if option("prefix").is_some_and(|prefix| prefix.contains('-')) {
        return refuse("The prefix cannot contain hyphens");
    }
    if option("keep-versions")
        .filter(|value| !value.is_empty())
        .is_some_and(|value| value.trim().parse::<i64>().map_or(true, |count| count <= 0))
    {
        return refuse("Retention value for keep-versions must be a positive integer");
    }
    if let Some(text) = option("keep-time").filter(|value| !value.is_empty()) {
        let seconds = Repeat::parse(&text).ok().and_then(|span| span.flat_seconds());
        if seconds.is_none_or(|seconds| seconds <= REPEAT_SECONDS_MIN) {
            return refuse("Retention value for keep-time must be a time span of more than 5 minutes");
        }
    }
    for setting in &backup.settings {
        let name = setting.name.trim_start_matches('-').to_ascii_lowercase();
        if setting.value.is_empty() {
            continue;
        }
        app.commands
            .check_option(&name, &setting.value)
            .map_err(|error| ApiError::bad_request(error.message))?;
    }
    Ok(())
}

/// Gives options the form in which the store keeps them.
pub fn normalize(backup: &mut Backup) {
    for setting in &mut backup.settings {
        let plain = setting.name.trim_start_matches('-').to_owned();
        setting.name = if PLAIN_OPTIONS.contains(&plain.as_str()) && !setting.name.starts_with("--") {
            plain
        } else {
            format!("--{plain}")
        };
    }
}

/// Whether another job has the name.
pub async fn has_name(app: &App, name: &str, except: &str) -> Answer<bool> {
    let all = app.database.backups().await?;
    Ok(all
        .iter()
        .any(|other| other.id != except && other.name.to_lowercase() == name.to_lowercase()))
}
