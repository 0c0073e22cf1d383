// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Further destinations that follow after a backup: `--remote-sync-json-config`.

use std::{ffi::OsStr, path::Path};

use duplicati_actors::{
    events::Monitor,
    follow::{FollowOptions, Recheck},
};
use duplicati_programs_common::{Options, UserError, error_id::ids, value::Timespan};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sync::{self, follow};
use crate::{
    connection::{Connection, Target},
    failure::{Failure, Outcome, failed},
    invocation::Invocation,
    logging::Level,
};

/// Destinations in one configuration.
const DESTINATIONS_MAX: usize = 16;
/// Largest configuration that is read, bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Recorded runs among which the last copy to a destination is looked for: all that are kept.
const RUNS_LOOKED_AT: u32 = 1_000;

/// The configuration.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RemoteSync {
    #[serde(default = "yes")]
    sync_on_warnings: bool,
    destinations: Vec<Entry>,
}

/// One destination.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    url: String,
    #[serde(default)]
    mode: Mode,
    interval: Option<String>,
    count: Option<u32>,
    #[serde(default = "yes")]
    auto_create_folders: bool,
    backend_retries: Option<u32>,
    /// Milliseconds.
    backend_retry_delay: Option<u64>,
    backend_retry_with_exponential_backoff: Option<bool>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default, rename = "force")]
    _force: bool,
    log_file: Option<String>,
    #[serde(default, rename = "log-level")]
    _log_level: Option<String>,
    #[serde(default, rename = "progress")]
    _progress: bool,
    #[serde(default)]
    retention: bool,
    /// Ours: Duplicati has no key that asks for removal.
    #[serde(default)]
    sync_then_delete: bool,
    retry: Option<u32>,
    #[serde(default)]
    verify_contents: bool,
    #[serde(default)]
    verify_get_after_put: bool,
    #[serde(default)]
    dst_options: Pairs,
    #[serde(default)]
    global_options: Pairs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Mode {
    #[default]
    Inline,
    Interval,
    Counting,
}

/// Options as `["name=value"]` or `{"name": "value"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pairs {
    List(Vec<String>),
    Map(std::collections::BTreeMap<String, String>),
}

impl Default for Pairs {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Pairs {
    fn pairs(&self) -> Vec<(&str, &str)> {
        match self {
            Self::List(texts) => texts
                .iter()
                .map(|text| text.split_once('=').unwrap_or((text, "")))
                .collect(),
            Self::Map(map) => map
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }
    }
}

fn yes() -> bool {
    true
}

fn invalid(message: &str) -> Failure {
    Failure::User(UserError::invalid_command_line(
        ids::INVALID_OPTION_VALUE,
        format!("--remote-sync-json-config: {message}"),
    ))
}

impl RemoteSync {
    /// Reads the configuration, before a backup rather than after it; none without the option.
    pub fn from_options(invocation: &Invocation) -> Outcome<Option<Self>> {
        let Some(secret) = invocation.options.secret("remote-sync-json-config") else {
            return Ok(None);
        };
        let text = secret.expose_secret().trim();
        if text.is_empty() {
            return Ok(None);
        }
        let of_file;
        let text = if text.starts_with('{') {
            text
        } else {
            of_file = read(&invocation.environment.current_folder.join(text))?;
            &of_file
        };
        let config = Self::parse(text)?;
        for entry in &config.destinations {
            // An address or option that makes no sense is found now.
            let options = entry.options(invocation)?;
            Target::address(invocation, OsStr::new(&entry.url), &options)?;
        }
        Ok(Some(config))
    }

    fn parse(text: &str) -> Outcome<Self> {
        // The text may hold passwords, so of an error only what and where is told.
        let config: Self = serde_json::from_str(text).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => {
                    "a key or value is not one of those that the manual lists"
                }
                _ => "it is not JSON",
            };
            invalid(&format!(
                "{what}, line {} column {}",
                error.line(),
                error.column()
            ))
        })?;
        if config.destinations.len() > DESTINATIONS_MAX {
            return Err(invalid(&format!(
                "it names more than {DESTINATIONS_MAX} destinations"
            )));
        }
        for entry in &config.destinations {
            if entry.retention && entry.sync_then_delete {
                return Err(invalid(
                    "retention keeps what sync-then-delete removes; give one of them",
                ));
            }
            match entry.mode {
                Mode::Interval => {
                    let span = entry.interval.as_deref().map(Timespan::parse);
                    if !matches!(span, Some(Ok(_))) {
                        return Err(invalid("mode Interval needs a time span as interval, such as 1D"));
                    }
                }
                Mode::Counting if entry.count.unwrap_or(0) == 0 => {
                    return Err(invalid("mode Counting needs a count of at least 1"));
                }
                _ => {}
            }
        }
        Ok(config)
    }

    /// Makes all destinations follow that are due; gives the list for the result.
    pub async fn carry_out(
        &self,
        invocation: &Invocation,
        connection: &Connection,
        monitor: &Monitor,
    ) -> Outcome<Value> {
        let log = &invocation.log;
        if log.error_count() > 0 || (log.warning_count() > 0 && !self.sync_on_warnings) {
            log.information(
                "RemoteSynchronizationSkipped",
                "Further destinations do not follow, because the backup had warnings or errors",
            );
            return Ok(json!([]));
        }
        let first = Target::of(invocation)?;
        let mut results = Vec::new();
        for entry in &self.destinations {
            let options = entry.options(invocation)?;
            let second = Target::named(invocation, OsStr::new(&entry.url), &options)?;
            let location = second.store.location();
            if first.is_same_place(&second) {
                let message =
                    "it is the destination of the backup itself; a second one must lie somewhere else";
                results.push(not_followed(invocation, &location, message, message));
                continue;
            }
            if !entry.is_due(invocation, connection, &location) {
                continue;
            }
            if entry.log_file.is_some() {
                log.information(
                    "OptionWithoutEffect",
                    "The log-file of a further destination has no effect; its lines go to the log of the backup",
                );
            }
            invocation
                .console
                .line(format!("Copying the backup to {location}"))?;
            results.push(
                match entry
                    .follow(invocation, connection, &first, &second, monitor)
                    .await
                {
                    Ok(values) => values,
                    // The backup is done whatever becomes of its copies.
                    Err(Failure::User(error)) if !invocation.control.is_tripped() => {
                        not_followed(invocation, &location, &error.to_string(), &error.message)
                    }
                    Err(failure) => return Err(failure),
                },
            );
        }
        Ok(Value::Array(results))
    }
}

/// Tells of a destination without a copy; gives its entry in the list of results.
fn not_followed(invocation: &Invocation, location: &str, told: &str, message: &str) -> Value {
    invocation.log.write(
        Level::Error,
        "RemoteSynchronizationFailed",
        b"",
        &format!("The destination {location} does not follow: {told}"),
    );
    json!({"Destination": location, "Result": "Error", "Message": message})
}

fn read(path: &Path) -> Outcome<String> {
    let trouble = |what: String| {
        failed(
            ids::PARAMETERS_FILE_UNREADABLE,
            format!("the file {} of --remote-sync-json-config {what}", path.display()),
        )
    };
    let size = std::fs::metadata(path)
        .map_err(|error| trouble(format!("cannot be read: {error}")))?
        .len();
    if size > CONFIG_BYTES_MAX {
        return Err(trouble("is larger than 1 MB".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|error| trouble(format!("cannot be read: {error}")))
}

impl Entry {
    /// The options of the command line with those of this destination.
    fn options(&self, invocation: &Invocation) -> Outcome<Options> {
        let mut options = invocation.options.clone();
        let now = &invocation.begin;
        let mut set = |name: &str, value: String| options.set(name, Some(OsStr::new(&value)), now);
        let retries = self.backend_retries.max(self.retry);
        if let Some(retries) = retries {
            set("number-of-retries", retries.to_string())?;
        }
        if let Some(delay) = self.backend_retry_delay {
            set("retry-delay", format!("{}s", delay.div_ceil(1_000)))?;
        }
        if let Some(doubles) = self.backend_retry_with_exponential_backoff {
            set("retry-with-exponential-backoff", doubles.to_string())?;
        }
        for (name, value) in self
            .global_options
            .pairs()
            .into_iter()
            .chain(self.dst_options.pairs())
        {
            set(name.trim_start_matches('-'), value.to_owned())?;
        }
        Ok(options)
    }

    fn is_due(&self, invocation: &Invocation, connection: &Connection, location: &str) -> bool {
        if self.mode == Mode::Inline {
            return true;
        }
        let runs = connection
            .local()
            .and_then(|local| Ok(local.runs(RUNS_LOOKED_AT)?))
            .unwrap_or_default();
        let backups: Vec<_> = runs.iter().filter(|run| run.operation == "Backup").collect();
        // Newest first; what is not known to have been copied is due.
        let Some(last) = backups.iter().position(|run| has_followed(&run.detail, location)) else {
            return true;
        };
        match self.mode {
            Mode::Inline => true,
            Mode::Counting => last + 1 >= self.count.unwrap_or(1) as usize,
            Mode::Interval => {
                let span = self
                    .interval
                    .as_deref()
                    .and_then(|text| Timespan::parse(text).ok())
                    .map(|span| span.to_duration())
                    .unwrap_or_default();
                backups[last]
                    .begin
                    .parse::<jiff::Timestamp>()
                    .map_or(true, |begin| {
                        invocation.begin.timestamp().duration_since(begin).unsigned_abs() >= span
                    })
            }
        }
    }

    async fn follow(
        &self,
        invocation: &Invocation,
        connection: &Connection,
        first: &Target,
        second: &Target,
        monitor: &Monitor,
    ) -> Outcome<Value> {
        let settings = FollowOptions {
            dry_run: self.dry_run || invocation.is_dry_run(),
            // A first destination that was set back lacks newer versions, and the copy may be the last that has them. So removal must be asked for.
            remove: self.sync_then_delete,
            recheck: if self.verify_contents {
                Recheck::Compare
            } else {
                Recheck::Names
            },
            read_back: self.verify_get_after_put,
        };
        if !settings.dry_run {
            second
                .make_ready_for_copy(&first.place(), invocation, self.auto_create_folders)
                .await?;
        }
        let report = follow(invocation, connection, second, settings, monitor).await?;
        if report.extra > 0 && !settings.remove {
            invocation.log.information(
                "ExtraFilesKept",
                &format!(
                    "{} stored files are only at {} and stay there; sync-then-delete removes what the first destination has let go",
                    report.extra,
                    second.store.location()
                ),
            );
        }
        let result = if report.failures.is_empty() {
            "Success"
        } else {
            "Error"
        };
        let mut values = sync::values(&report, settings.dry_run);
        values["Destination"] = json!(second.store.location());
        values["Result"] = json!(result);
        Ok(values)
    }
}

fn has_followed(detail: &str, location: &str) -> bool {
    let Ok(detail) = serde_json::from_str::<Value>(detail) else {
        return false;
    };
    let results = detail["RemoteSynchronizationResults"].as_array();
    results.is_some_and(|results| {
        results.iter().any(|result| {
            // A dry run made no copy.
            result["Destination"] == location && result["Result"] == "Success" && result["Dryrun"] != true
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_as_duplicati_writes_it_is_read() {
        let text = r#"{"sync-on-warnings": false, "destinations": [
            {"url": "/a", "mode": "Inline", "auto-create-folders": true, "backend-retries": 3, "force": false,
             "verify-contents": true, "verify-get-after-put": true, "dst-options": ["a=b", "c"], "retention": true},
            {"url": "/b", "mode": "Interval", "interval": "1D", "global-options": {"x": "y"}},
            {"url": "/c", "mode": "Counting", "count": 3}]}"#;
        let Ok(config) = RemoteSync::parse(text) else {
            panic!("it is refused")
        };
        assert!(!config.sync_on_warnings);
        assert_eq!(
            config.destinations[0].dst_options.pairs(),
            [("a", "b"), ("c", "")]
        );
        assert_eq!(config.destinations[1].global_options.pairs(), [("x", "y")]);
        assert_eq!(config.destinations[2].mode, Mode::Counting);
    }

    #[test]
    fn a_wrong_configuration_is_refused_without_repeating_it() {
        for text in [
            "{",
            r#"{"destinations": [{"url": "/hunter2", "mode": "Sometimes"}]}"#,
            r#"{"destinations": [{"url": "/hunter2", "mode": "Interval"}]}"#,
            r#"{"destinations": [{"url": "/hunter2", "mode": "Counting", "count": 0}]}"#,
            r#"{"destinations": [{"url": "/hunter2", "hunter2": 1}]}"#,
            r#"{"destinations": [{"url": "/hunter2", "retention": true, "sync-then-delete": true}]}"#,
            r#"{"destinations": "hunter2"}"#,
        ] {
            let Err(Failure::User(error)) = RemoteSync::parse(text) else {
                panic!("{text} is taken")
            };
            assert_eq!(error.exit_code.code(), 200);
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn only_a_copy_that_came_about_counts() {
        let detail = r#"{"RemoteSynchronizationResults":[{"Destination":"file:///b","Result":"Success"}]}"#;
        assert!(has_followed(detail, "file:///b"));
        assert!(!has_followed(detail, "file:///c"));
        assert!(!has_followed(&detail.replace("Success", "Error"), "file:///b"));
        assert!(!has_followed(
            &detail.replace("}]", r#","Dryrun":true}]"#),
            "file:///b"
        ));
        assert!(!has_followed("", "file:///b"));
    }
}
