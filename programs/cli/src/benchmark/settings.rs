// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the options of the benchmark ask for, checked.

use std::{path::PathBuf, time::Duration};

use duplicati_programs_common::{
    Options, UserError,
    error_id::ids,
    value::{SizeUnit, parse_size},
};

/// Sizes, and concurrencies, in one benchmark.
const STEPS_MAX: usize = 8;
/// Largest object, bytes: it is held in memory.
const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// Most requests at once.
const CONCURRENCY_MAX: u64 = 64;
/// Smallest data for whole runs, bytes: less would measure the begin and end of a run.
const DATA_BYTES_MIN: u64 = 1 << 20;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Single requests to the target.
    pub measures_target: bool,
    /// Whole backups and a restore.
    pub measures_runs: bool,
    /// Sizes of objects, bytes, rising.
    pub sizes_bytes: Vec<u64>,
    /// Requests at once, rising.
    pub concurrencies: Vec<usize>,
    /// The most to upload in single requests, bytes.
    pub upload_bytes_max: u64,
    /// The most time for each of the two parts.
    pub time_max: Duration,
    /// Data to be made for whole runs, and the most that a folder may hold, bytes.
    pub data_bytes: u64,
    /// The share of that data that compression takes away, percent.
    pub compressible_percent: u32,
    /// The share of data that changes in a day, percent.
    pub change_percent: f64,
    /// The size of a client, bytes.
    pub client_bytes: u64,
    /// The time in which all clients must be done.
    pub window: Duration,
    /// Where the chart goes.
    pub plot: Option<PathBuf>,
}

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// When a value makes no sense; the message names the option.
    pub fn from_options(options: &Options) -> Result<Self, UserError> {
        let part = options.string("benchmark-part").unwrap_or("Both");
        let sizes_bytes = steps(options, "benchmark-sizes", OBJECT_BYTES_MAX, "256mb", |text| {
            parse_size(text, SizeUnit::Megabytes).ok()
        })?;
        let concurrencies = steps(options, "benchmark-concurrency", CONCURRENCY_MAX, "64", |text| {
            text.parse().ok()
        })?;
        let settings = Self {
            measures_target: part != "Backup",
            measures_runs: part != "Target",
            concurrencies: concurrencies
                .into_iter()
                .filter_map(|count| usize::try_from(count).ok())
                .collect(),
            upload_bytes_max: options.size("benchmark-max-upload").unwrap_or_default(),
            time_max: options
                .timespan("benchmark-max-time")
                .map(|span| span.to_duration())
                .unwrap_or_default(),
            data_bytes: options.size("benchmark-data-size").unwrap_or_default(),
            compressible_percent: options
                .integer("benchmark-compressibility")
                .and_then(|percent| u32::try_from(percent).ok())
                .unwrap_or_default(),
            change_percent: options.decimal("benchmark-change-rate").unwrap_or_default(),
            client_bytes: options.size("benchmark-client-size").unwrap_or_default(),
            window: options
                .timespan("benchmark-window")
                .map(|span| span.to_duration())
                .unwrap_or_default(),
            plot: options.path("plot").map(PathBuf::from),
            sizes_bytes,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), UserError> {
        let smallest = self.sizes_bytes.first().copied().unwrap_or_default();
        if self.measures_target && self.upload_bytes_max < smallest {
            return Err(invalid(
                "benchmark-max-upload",
                "is smaller than the smallest of --benchmark-sizes",
            ));
        }
        if self.time_max.is_zero() {
            return Err(invalid("benchmark-max-time", "must be longer than nothing"));
        }
        if self.measures_runs && self.data_bytes < DATA_BYTES_MIN {
            return Err(invalid("benchmark-data-size", "must be at least 1mb"));
        }
        if !(0.0..=100.0).contains(&self.change_percent) {
            return Err(invalid(
                "benchmark-change-rate",
                "must be a percentage from 0 to 100",
            ));
        }
        if self.client_bytes == 0 {
            return Err(invalid("benchmark-client-size", "must be larger than nothing"));
        }
        if self.window.is_zero() {
            return Err(invalid("benchmark-window", "must be longer than nothing"));
        }
        Ok(())
    }
}

fn steps(
    options: &Options,
    name: &'static str,
    max: u64,
    max_text: &str,
    parse: impl Fn(&str) -> Option<u64>,
) -> Result<Vec<u64>, UserError> {
    let mut values = Vec::new();
    for text in options.list(name) {
        match parse(text.trim()) {
            Some(value) if (1..=max).contains(&value) => values.push(value),
            _ => {
                let shown: String = text.chars().take(40).collect();
                return Err(invalid(
                    name,
                    &format!("has the part {shown:?}, which is not a value from 1 to {max_text}"),
                ));
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    if values.is_empty() || values.len() > STEPS_MAX {
        return Err(invalid(name, &format!("takes 1 to {STEPS_MAX} values")));
    }
    Ok(values)
}

fn invalid(name: &str, what: &str) -> UserError {
    UserError::invalid_command_line(ids::INVALID_OPTION_VALUE, format!("--{name} {what}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use duplicati_programs_common::{Environment, ParseContext};

    use super::*;

    fn settings(arguments: &[&str]) -> Result<Settings, UserError> {
        let environment = Environment::from_process();
        let now = "2026-11-24T00:00:00[UTC]".parse().unwrap();
        let context = ParseContext {
            environment: &environment,
            now: &now,
        };
        Settings::from_options(&Options::parse(arguments.iter().map(OsString::from), &context)?)
    }

    #[test]
    fn defaults_are_bounded_and_values_are_sorted() {
        let made = settings(&[]).unwrap();
        assert!(made.measures_target && made.measures_runs);
        assert!(made.upload_bytes_max <= 1 << 30 && made.time_max <= Duration::from_secs(600));
        let made = settings(&["--benchmark-sizes=1mb,4kb,1mb", "--benchmark-concurrency=8,2"]).unwrap();
        assert_eq!(made.sizes_bytes, [4 << 10, 1 << 20]);
        assert_eq!(made.concurrencies, [2, 8]);
    }

    #[test]
    fn values_without_sense_are_refused_by_the_name_of_their_option() {
        for argument in [
            "--benchmark-sizes=0",
            "--benchmark-sizes=1tb",
            "--benchmark-sizes=x",
            "--benchmark-sizes=",
            "--benchmark-concurrency=0",
            "--benchmark-concurrency=65",
            "--benchmark-concurrency=1,2,3,4,5,6,7,8,9",
            "--benchmark-max-upload=1kb",
            "--benchmark-max-time=0s",
            "--benchmark-data-size=1kb",
            "--benchmark-change-rate=101",
            "--benchmark-change-rate=-1",
            "--benchmark-compressibility=101",
            "--benchmark-client-size=0",
            "--benchmark-window=0s",
            "--benchmark-part=Half",
        ] {
            let error = settings(&[argument]).unwrap_err();
            let name = argument.split('=').next().unwrap();
            assert!(error.message.contains(name), "{argument}: {error}");
            assert_eq!(error.exit_code.code(), 200, "{argument}");
        }
    }
}
