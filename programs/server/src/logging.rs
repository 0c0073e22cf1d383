// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the server's own log lines go: a file, standard output, and the live log.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    sync::{Arc, Mutex, PoisonError},
};

use duplicati_api::live_log::{LiveLine, LiveLog, LogLevel};
use duplicati_engine::clock::{Clock, SystemClock};
use duplicati_programs_common::{UserError, error_id::ids};
use jiff::{Timestamp, tz::TimeZone};
use tracing::{Subscriber, field::Visit};
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::Context, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::options::ServerOptions;

/// The layer.
struct ServerLog {
    live: Arc<LiveLog>,
    file: Option<Mutex<File>>,
    file_level: LogLevel,
    console_level: LogLevel,
}

/// Begins to take log lines.
pub fn start(options: &ServerOptions, live: Arc<LiveLog>) -> Result<(), UserError> {
    let level = match options.text("log-level") {
        None => None,
        Some(text) => Some(LogLevel::parse(text).ok_or_else(|| {
            UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                format!("--log-level: {text:?} is not a log level; they are Verbose, Information, Warning and Error"),
            )
        })?),
    };
    let file = match options.path("log-file") {
        None => None,
        Some(path) => {
            let opened = File::options().append(true).create(true).mode(0o600).open(&path);
            Some(Mutex::new(opened.map_err(|error| {
                UserError::failed(
                    ids::UNEXPECTED_FAILURE,
                    format!("failed to open the log file {}: {error}", path.display()),
                )
            })?))
        }
    };
    let console_level = if options.is_on("log-console") {
        level.unwrap_or(LogLevel::Information)
    } else {
        // The journal gets what needs attention in any case.
        LogLevel::Warning
    };
    let log = ServerLog {
        live,
        file,
        file_level: level.unwrap_or(LogLevel::Warning),
        console_level,
    };
    let _first = tracing_subscriber::registry()
        .with(log.with_filter(LevelFilter::INFO))
        .try_init()
        .is_ok();
    Ok(())
}

impl<S: Subscriber> Layer<S> for ServerLog {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let is_ours = event.metadata().target().starts_with("duplicati");
        let level = match *event.metadata().level() {
            tracing::Level::ERROR if is_ours => LogLevel::Error,
            tracing::Level::WARN if is_ours => LogLevel::Warning,
            tracing::Level::INFO if is_ours => LogLevel::Information,
            _ => LogLevel::Verbose,
        };
        let mut text = FieldText::default();
        event.record(&mut text);
        let now = SystemClock.now();
        let now = Timestamp::new(now.seconds, now.nanoseconds as i32).unwrap_or(Timestamp::UNIX_EPOCH);
        let line = format!(
            "{} - [{}-Server-{}]: {}",
            now.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z"),
            level.name(),
            text.id.as_deref().unwrap_or("Server"),
            text.text
        );
        if level >= self.console_level {
            // A journal that is gone is no reason to end.
            let _seen = writeln!(std::io::stdout().lock(), "{line}").is_ok();
        }
        if level >= self.file_level
            && let Some(file) = &self.file
        {
            let _written = writeln!(file.lock().unwrap_or_else(PoisonError::into_inner), "{line}").is_ok();
        }
        self.live.add(LiveLine {
            when: now,
            level,
            tag: "Server".to_owned(),
            message_id: text.id.unwrap_or_default(),
            text: text.text,
            backup_id: None,
            task_id: None,
        });
    }
}

#[derive(Default)]
struct FieldText {
    text: String,
    id: Option<String>,
}

impl Visit for FieldText {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "id" {
            self.id = Some(value.to_owned());
        } else {
            self.record_debug(field, &format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write;
        let _never_fails = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.text, " ({name}: {value:?})"),
        };
    }
}
