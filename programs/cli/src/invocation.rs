// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every command gets: its arguments and options, the clock, and where output goes.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use duplicati_actors::{
    control::RunControl,
    events::{Monitor, Progress},
};
use duplicati_engine::{
    clock::{Clock, SystemClock},
    source::filter::{FilterEnvironment, RuleKind, SourceFilter, VariableStyle},
};
use duplicati_programs_common::{
    Environment, Options, UserError, commands::CommandSpec, data_folder, error_id::ids,
    scripts::ScriptSettings,
};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use serde_json::{Map, Value};

use crate::{
    failure::{Failure, Outcome, failed},
    logging::Log,
    output::Console,
};

/// One call of the program.
pub struct Invocation {
    /// The command.
    pub spec: &'static CommandSpec,
    /// Its options.
    pub options: Options,
    /// What the process found around itself.
    pub environment: Environment,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// When the program began, in the user's time zone.
    pub begin: Zoned,
    /// Where output goes.
    pub console: Arc<Console>,
    /// Where log lines go.
    pub log: Arc<Log>,
    /// Stops the work.
    pub control: RunControl,
    /// Programs of the user around the operation.
    pub scripts: ScriptSettings,
    /// What the operation did, once it is known.
    pub result: Mutex<Option<Map<String, Value>>>,
    /// Counters that another part of this process watches.
    pub watched: Option<Arc<Progress>>,
}

/// The present time in the user's time zone.
pub fn zoned_now(clock: &dyn Clock) -> Zoned {
    let now = clock.now();
    Timestamp::new(now.seconds, now.nanoseconds as i32)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::system())
}

/// The clock of this machine.
pub fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

impl Invocation {
    /// Keeps the result for scripts, reports, and the last line of JSON output.
    pub fn keep_result(&self, result: Map<String, Value>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    /// The result, if there is one by now.
    pub fn kept_result(&self) -> Option<Map<String, Value>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The destination as it was given.
    pub fn destination_text(&self) -> Option<&OsStr> {
        self.argument(0).filter(|_| self.spec.takes_destination)
    }

    /// The sources as they were given.
    pub fn source_texts(&self) -> &[OsString] {
        if self.spec.takes_sources {
            self.arguments_from(usize::from(self.spec.takes_destination))
        } else {
            &[]
        }
    }

    /// An argument after the command, counted from 0; the destination is the first where there is one.
    pub fn argument(&self, position: usize) -> Option<&OsStr> {
        self.options
            .positional()
            .get(position + 1)
            .map(OsString::as_os_str)
    }

    /// The arguments from a position on.
    pub fn arguments_from(&self, position: usize) -> &[OsString] {
        self.options.positional().get(position + 1..).unwrap_or_default()
    }

    /// The folder for settings and local databases.
    pub fn data_folder(&self) -> PathBuf {
        data_folder::locate(
            self.options.path("server-datafolder"),
            self.options.bool("portable-mode"),
            &self.environment,
        )
    }

    /// The present time.
    pub fn now(&self) -> Zoned {
        zoned_now(self.clock.as_ref())
    }

    /// A monitor for one run whose events go to the log.
    pub fn monitor(&self) -> Monitor {
        let mut monitor = Monitor::new(Arc::<Log>::clone(&self.log));
        if let Some(watched) = &self.watched {
            monitor.progress = Arc::clone(watched);
        }
        monitor
    }

    /// Whether nothing may be changed.
    pub fn is_dry_run(&self) -> bool {
        self.options.bool("dry-run")
    }

    /// The includes and excludes of the command line.
    pub fn source_filter(&self) -> Outcome<SourceFilter> {
        let rules = self.options.filters().iter().map(|rule| {
            let kind = if rule.include {
                RuleKind::Include
            } else {
                RuleKind::Exclude
            };
            (kind, rule.expression.as_str())
        });
        self.filter_of(rules)
    }

    /// A filter from texts.
    pub fn filter_of<'text>(
        &self,
        rules: impl IntoIterator<Item = (RuleKind, &'text str)>,
    ) -> Outcome<SourceFilter> {
        let variables = self.environment.variables.iter();
        let environment = FilterEnvironment {
            variables: variables
                .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())))
                .collect(),
            temporary_folder: self.temporary_folder().to_string_lossy().into_owned(),
            data_folder: self.data_folder().to_string_lossy().into_owned(),
        };
        SourceFilter::parse(rules, VariableStyle::CommandLine, &environment).map_err(|error| {
            Failure::User(UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                error.to_string(),
            ))
        })
    }

    /// Refuses a temporary folder that was named and is none: whoever names one means that space.
    pub fn check_temporary_folder(&self) -> Outcome<()> {
        match self.options.path("tempdir") {
            Some(path) if !self.environment.current_folder.join(path).is_dir() => Err(failed(
                ids::INVALID_OPTION_VALUE,
                format!(
                    "--tempdir={} is not a folder; make it, or name another one",
                    path.display()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Where temporary files go.
    pub fn temporary_folder(&self) -> PathBuf {
        let from_environment = || self.environment.variable("TMPDIR").map(PathBuf::from);
        self.options
            .path("tempdir")
            .map(PathBuf::from)
            .or_else(from_environment)
            .unwrap_or_else(|| PathBuf::from("/tmp"))
    }

    /// An absolute path for one given on the command line, without `.` and `..` and doubled slashes.
    pub fn absolute(&self, path: &OsStr) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        let joined = self.environment.current_folder.join(path);
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in joined.as_os_str().as_bytes().split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let mut absolute = Vec::new();
        for part in parts {
            absolute.push(b'/');
            absolute.extend_from_slice(part);
        }
        if absolute.is_empty() {
            absolute.push(b'/');
        }
        absolute
    }

    /// Refuses what this version cannot do, naming it.
    pub fn not_available(&self) -> Failure {
        failed(
            ids::COMMAND_NOT_AVAILABLE,
            format!("the command {} is not part of this version", self.spec.name),
        )
    }
}
