// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Figures for Prometheus. Every name stands in `docs/metrics.md`.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

use axum::{
    extract::State as Extract,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    access::{self, Presented},
    auth::password::is_same,
    error::Answer,
    model::{Backup, Schedule},
    state::{App, State},
};

/// What is counted since the start.
#[derive(Default)]
pub struct Metrics {
    jobs: Mutex<BTreeMap<(String, &'static str, String), JobCounters>>,
}

#[derive(Default, Clone)]
struct JobCounters {
    runs: u64,
    last_seconds: f64,
    last_end: i64,
    uploaded_bytes: u64,
    downloaded_bytes: u64,
}

impl Metrics {
    /// Counts a job that has ended.
    pub fn job_ended(
        &self,
        backup: &Backup,
        kind: &'static str,
        began: Timestamp,
        finished: Timestamp,
        result: &Value,
    ) {
        if backup.is_temporary() {
            return;
        }
        let level = result["ParsedResult"].as_str().unwrap_or("Unknown").to_owned();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = jobs.entry((backup.id.clone(), kind, level)).or_default();
        let number = |name: &str| result["BackendStatistics"][name].as_u64().unwrap_or(0);
        counters.runs += 1;
        counters.last_seconds = began.duration_until(finished).as_secs_f64();
        counters.last_end = finished.as_second();
        counters.uploaded_bytes += number("BytesUploaded");
        counters.downloaded_bytes += number("BytesDownloaded");
    }

    fn counters(&self) -> BTreeMap<(String, &'static str, String), JobCounters> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers to those who have an access token, or the token for figures.
pub async fn serve(Extract(app): Extract<App>, headers: HeaderMap) -> Answer<Response> {
    let has_own_token = match (access::presented(&headers), &app.options.metrics_token) {
        (Some(Presented::Bearer(token)), Some(known)) => is_same(token.as_bytes(), known.as_bytes()),
        _ => false,
    };
    if !has_own_token && !access::is_allowed(&app, &headers).await? {
        return Ok((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response());
    }
    let text = render(&app).await?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response())
}

/// One family of figures.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    fn new(text: &'a mut String, name: &'static str, kind: &str, help: &str) -> Self {
        // Writing to a text cannot fail.
        let _written = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Self { text, name }
    }

    fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        for (position, (name, value)) in labels.iter().enumerate() {
            self.text.push(if position == 0 { '{' } else { ',' });
            let escaped = value
                .replace('\\', r"\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _written = write!(self.text, "{name}=\"{escaped}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _written = writeln!(self.text, " {value}");
    }
}

async fn render(app: &State) -> Answer<String> {
    let backups = app.database.backups().await?;
    let mut text = String::new();
    let mut family = Family::new(
        &mut text,
        "duplicati_server_info",
        "gauge",
        "Always 1; the version is a label.",
    );
    family.value(&[("version", &app.options.version)], 1.0);

    let queue = app.queue.state();
    let mut family = Family::new(
        &mut text,
        "duplicati_queue_jobs",
        "gauge",
        "Jobs that wait or run.",
    );
    family.value(&[("state", "waiting")], queue.waiting.len() as f64);
    family.value(
        &[("state", "running")],
        f64::from(u8::from(queue.active.is_some())),
    );
    let mut family = Family::new(
        &mut text,
        "duplicati_queue_paused",
        "gauge",
        "1 while the queue is paused.",
    );
    family.value(&[], f64::from(u8::from(queue.is_paused)));

    let number = |backup: &Backup, name: &str| {
        backup
            .metadata
            .get(name)
            .and_then(|value| value.parse::<f64>().ok())
    };
    let time = |backup: &Backup, name: &str| {
        let text = backup.metadata.get(name)?;
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(time.timestamp().as_second() as f64)
    };
    type Read<'a> = &'a dyn Fn(&Backup) -> Option<f64>;
    let gauges: [(&'static str, &str, Read<'_>); 7] = [
        (
            "duplicati_backup_last_success_timestamp_seconds",
            "When the last whole backup ended.",
            &|backup| time(backup, "LastBackupFinished").or(Some(0.0)),
        ),
        (
            "duplicati_backup_last_error_timestamp_seconds",
            "When the last operation failed.",
            &|backup| time(backup, "LastErrorDate").or(Some(0.0)),
        ),
        (
            "duplicati_backup_versions",
            "Versions at the destination.",
            &|backup| number(backup, "BackupListCount"),
        ),
        (
            "duplicati_backup_source_bytes",
            "Size of the sources as last seen.",
            &|backup| number(backup, "SourceFilesSize"),
        ),
        (
            "duplicati_backup_source_files",
            "Files of the sources as last seen.",
            &|backup| number(backup, "SourceFilesCount"),
        ),
        (
            "duplicati_backup_target_bytes",
            "Bytes at the destination.",
            &|backup| number(backup, "TargetFilesSize"),
        ),
        (
            "duplicati_backup_target_objects",
            "Files at the destination.",
            &|backup| number(backup, "TargetFilesCount"),
        ),
    ];
    for (name, help, read) in gauges {
        let mut family = Family::new(&mut text, name, "gauge", help);
        for backup in &backups {
            if let Some(value) = read(backup) {
                family.value(&[("backup_id", &backup.id), ("backup_name", &backup.name)], value);
            }
        }
    }

    let mut family = Family::new(
        &mut text,
        "duplicati_backup_next_run_timestamp_seconds",
        "gauge",
        "When the next run by schedule is due.",
    );
    let proposed = app.scheduler.get().map(|scheduler| scheduler.proposed());
    for (id, next) in proposed.iter().flat_map(|proposed| proposed.iter()) {
        let name = backups
            .iter()
            .find(|backup| backup.id == *id)
            .map_or("", |backup| backup.name.as_str());
        family.value(
            &[("backup_id", id), ("backup_name", name)],
            next.as_second() as f64,
        );
    }

    let mut family = Family::new(
        &mut text,
        "duplicati_backup_schedule_interval_seconds",
        "gauge",
        "The longest time between two runs by schedule.",
    );
    let schedules = app.database.schedules().await?;
    for backup in &backups {
        if let Some(rules) = schedules.get(&backup.id).and_then(Schedule::rules) {
            family.value(
                &[("backup_id", &backup.id), ("backup_name", &backup.name)],
                rules.longest_interval_seconds() as f64,
            );
        }
    }

    type Count<'a> = &'a dyn Fn(&JobCounters) -> f64;
    let counters = app.metrics.counters();
    let families: [(&'static str, &str, &str, Count<'_>); 5] = [
        (
            "duplicati_job_runs_total",
            "counter",
            "Jobs that ended since the start.",
            &|job| job.runs as f64,
        ),
        (
            "duplicati_job_last_duration_seconds",
            "gauge",
            "How long the last one took.",
            &|job| job.last_seconds,
        ),
        (
            "duplicati_job_last_end_timestamp_seconds",
            "gauge",
            "When the last one ended.",
            &|job| job.last_end as f64,
        ),
        (
            "duplicati_job_uploaded_bytes_total",
            "counter",
            "Bytes sent to destinations since the start.",
            &|job| job.uploaded_bytes as f64,
        ),
        (
            "duplicati_job_downloaded_bytes_total",
            "counter",
            "Bytes read from destinations since the start.",
            &|job| job.downloaded_bytes as f64,
        ),
    ];
    for (name, kind, help, count) in families {
        let mut family = Family::new(&mut text, name, kind, help);
        for ((id, operation, result), job) in &counters {
            family.value(
                &[("backup_id", id), ("operation", operation), ("result", result)],
                count(job),
            );
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = String::new();
        let mut family = Family::new(&mut text, "x", "gauge", "Help.");
        family.value(&[("name", "a\"b\\c\nd")], 1.5);
        assert_eq!(
            text,
            "# HELP x Help.\n# TYPE x gauge\nx{name=\"a\\\"b\\\\c\\nd\"} 1.5\n"
        );
    }
}
