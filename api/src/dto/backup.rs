// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Jobs and schedules.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::time;
use crate::{
    model::{Backup, FilterRow, Schedule, Setting, short_day},
    settings::PLACEHOLDER,
    state::State,
    target_url,
};

/// How much of a job is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// In the list: without sources, options and filters.
    InList,
    /// Alone, with secrets masked.
    Masked,
    /// For a file that somebody keeps: with secrets.
    Whole,
    /// For a file that somebody shows around: without secrets.
    WithoutSecrets,
}

/// A job.
pub fn backup(state: &State, backup: &Backup, shown: Shown) -> Value {
    let is_secret = |name: &str| state.is_secret(name);
    let url = |url: &str| match shown {
        Shown::Whole => url.to_owned(),
        Shown::WithoutSecrets => target_url::strip(url, &is_secret),
        Shown::InList | Shown::Masked => target_url::mask(url, &is_secret),
    };
    let mut value = json!({
        "ID": backup.id,
        "ExternalID": backup.external_id,
        "Name": backup.name,
        "Description": backup.description,
        "Tags": backup.tags,
        "TargetURL": url(&backup.target_url),
        "ConnectionStringID": backup.connection_string_id,
        "OperationType": backup.operation_type,
        "DBPath": state.database_path(backup).display().to_string(),
        "Sources": backup.sources.iter().map(|source| if source.starts_with('@') { url(source) } else { source.clone() }).collect::<Vec<_>>(),
        "Settings": settings(state, &backup.settings, shown),
        "Filters": filters(&backup.filters),
        "Metadata": backup.metadata,
        "IsTemporary": backup.is_temporary(),
        "AdditionalTargetURLs": additional(&backup.additional_targets, &url),
    });
    if shown == Shown::InList {
        value["Sources"] = json!([]);
        value["Settings"] = Value::Null;
        value["Filters"] = Value::Null;
    }
    if matches!(shown, Shown::InList | Shown::Masked) {
        value["DBPathExists"] = state.database_path(backup).exists().into();
        let is_open = backup.option("encryption-module").is_none()
            || backup
                .option("passphrase")
                .is_some_and(|passphrase| !passphrase.is_empty());
        value["IsUnencryptedOrPassphraseStored"] = (shown == Shown::InList && is_open).into();
    }
    value
}

fn settings(state: &State, settings: &[Setting], shown: Shown) -> Vec<Value> {
    settings
        .iter()
        .filter_map(|setting| {
            let is_secret = state.is_secret(&setting.name);
            let value = match shown {
                Shown::Whole => setting.value.as_str(),
                Shown::WithoutSecrets if is_secret => return None,
                _ if is_secret && !setting.value.is_empty() => PLACEHOLDER,
                _ => setting.value.as_str(),
            };
            Some(json!({"Filter": setting.filter, "Name": setting.name, "Value": value, "Argument": null}))
        })
        .collect()
}

fn filters(filters: &[FilterRow]) -> Vec<Value> {
    filters
        .iter()
        .map(|filter| json!({"Order": filter.order, "Include": filter.include, "Expression": filter.expression}))
        .collect()
}

fn additional(targets: &Value, url: &dyn Fn(&str) -> String) -> Value {
    let shown = targets
        .as_array()
        .into_iter()
        .flatten()
        .cloned()
        .map(|mut target| {
            if let Some(text) = target["TargetUrl"].as_str() {
                target["TargetUrl"] = url(text).into();
            }
            target
        });
    Value::Array(shown.collect())
}

/// A schedule, or null.
pub fn schedule(schedule: Option<&Schedule>) -> Value {
    let Some(schedule) = schedule else {
        return Value::Null;
    };
    let days: Vec<&str> = schedule.allowed_days().into_iter().map(short_day).collect();
    json!({
        "ID": schedule.id,
        "Tags": schedule.tags,
        "Time": time::iso(schedule.time),
        "Repeat": schedule.repeat,
        "LastRun": schedule.last_run.map_or_else(|| time::NEVER.to_owned(), time::iso),
        "Rule": schedule.rule,
        "AllowedDays": if days.is_empty() { Value::Null } else { json!(days) },
    })
}

/// All jobs, in the order that `order` asks for.
pub fn list(state: &State, backups: &[Backup], schedules: &BTreeMap<String, Schedule>, order: &str) -> Value {
    let mut sorted: Vec<&Backup> = backups.iter().collect();
    // The last key is the least important, and sorting keeps the order of equals.
    for key in order
        .split(',')
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .rev()
    {
        let (descending, name) = match key.split_at_checked(1) {
            Some(("-", name)) => (true, name),
            Some(("+", name)) => (false, name),
            _ => (false, key),
        };
        let next = |backup: &Backup| schedules.get(&backup.id).map(|schedule| schedule.time);
        let number = |backup: &Backup, name: &str| -> u64 {
            backup
                .metadata
                .get(name)
                .and_then(|value| value.parse().ok())
                .unwrap_or(0)
        };
        let text = |backup: &Backup, name: &str| backup.metadata.get(name).cloned().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "name" => sorted.sort_by_key(|backup| backup.name.to_lowercase()),
            "id" => sorted.sort_by_key(|backup| backup.id.parse::<i64>().unwrap_or(i64::MAX)),
            "lastrun" => sorted.sort_by_key(|backup| text(backup, "LastBackupFinished")),
            "nextrun" | "schedule" => sorted.sort_by_key(|backup| next(backup)),
            "backend" => sorted
                .sort_by_key(|backup| backup.target_url.split(':').next().unwrap_or_default().to_owned()),
            "sourcesize" => sorted.sort_by_key(|backup| number(backup, "SourceFilesSize")),
            "destinationsize" => sorted.sort_by_key(|backup| number(backup, "TargetFilesSize")),
            "duration" => sorted.sort_by_key(|backup| text(backup, "LastBackupDuration")),
            _ => continue,
        }
        if descending {
            sorted.reverse();
        }
    }
    let rows = sorted.into_iter().map(|one| {
        json!({
            "Backup": backup(state, one, Shown::InList),
            "Schedule": schedule(schedules.get(&one.id)),
        })
    });
    Value::Array(rows.collect())
}

/// The labels of sources: the last part of their path.
pub fn display_names(backup: &Backup) -> Value {
    let names: Map<String, Value> = backup
        .sources
        .iter()
        .map(|source| {
            let trimmed = source.trim_end_matches('/');
            let label = trimmed.rsplit('/').next().filter(|label| !label.is_empty());
            (source.clone(), label.unwrap_or(source).into())
        })
        .collect();
    Value::Object(names)
}

/// A job as a file.
pub fn export(state: &State, one: &Backup, of: Option<&Schedule>, shown: Shown) -> Value {
    json!({
        "CreatedByVersion": state.options.version,
        "Schedule": schedule(of),
        "Backup": backup(state, one, shown),
        "DisplayNames": display_names(one),
    })
}
