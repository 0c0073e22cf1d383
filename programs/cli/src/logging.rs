// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Log lines: which go to the terminal, which to a file, and which count as warnings and errors of the run.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use duplicati_actors::events::{Event, EventSink, Severity};
use duplicati_engine::{
    clock::Clock,
    format::path_text::PathText,
    source::{
        display_path,
        filter::{Decision, DecisionReason, FilterEnvironment, RuleKind, SourceFilter, VariableStyle},
    },
};
use duplicati_programs_common::{
    Options, UserError, commands::CommandSpec, error_id::ids, options::table, reports::redaction,
};
use tracing::{Metadata, Subscriber, field::Visit};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    invocation::zoned_now,
    output::{Console, json::EventLine},
};

/// Lines of each kind that a result repeats.
const LINES_KEPT_MAX: usize = 20;

/// Lines that are kept for one report or script.
const LINES_COLLECTED_MAX: usize = 20_000;

/// How much a line matters, from most to least detailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    ExplicitOnly,
    Profiling,
    Verbose,
    Retry,
    Information,
    DryRun,
    Warning,
    Error,
}

impl Level {
    const ALL: [(Self, &'static str); 8] = [
        (Self::ExplicitOnly, "ExplicitOnly"),
        (Self::Profiling, "Profiling"),
        (Self::Verbose, "Verbose"),
        (Self::Retry, "Retry"),
        (Self::Information, "Information"),
        (Self::DryRun, "DryRun"),
        (Self::Warning, "Warning"),
        (Self::Error, "Error"),
    ];

    /// The name that users write and read.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(level, _)| *level == self)
            .map_or("Information", |(_, name)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(level, _)| *level)
    }
}

/// Chooses the lines for one place.
struct Choice {
    level: Level,
    filter: SourceFilter,
    ignored: Vec<String>,
}

impl Choice {
    fn new(options: &Options, place: &str) -> Result<Self, UserError> {
        let level = options
            .string(&format!("{place}-log-level"))
            .and_then(Level::from_name)
            .unwrap_or(Level::Warning);
        let text = options.string(&format!("{place}-log-filter")).unwrap_or_default();
        let rules: Vec<(RuleKind, String)> = split_filter(text);
        let filter = SourceFilter::parse(
            rules.iter().map(|(kind, text)| (*kind, text.as_str())),
            VariableStyle::CommandLine,
            &FilterEnvironment::default(),
        )
        .map_err(|error| {
            UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                format!("the value of --{place}-log-filter cannot be used: {error}"),
            )
        })?;
        Ok(Self {
            // What a dry run would do is what it is asked for.
            level: if options.bool("dry-run") {
                level.min(Level::DryRun)
            } else {
                level
            },
            filter,
            ignored: match table::find(&format!("{place}-log-ignore")) {
                Some(spec) => options.list(spec.name).to_vec(),
                None => Vec::new(),
            },
        })
    }

    /// A rule that matches decides; without one, the level does.
    fn takes(&self, level: Level, tag: &str, id: &str) -> bool {
        if self
            .ignored
            .iter()
            .any(|ignored| ignored.eq_ignore_ascii_case(id))
        {
            return false;
        }
        match self.filter.decide(format!("{tag}-{id}").as_bytes()) {
            Decision::Included(DecisionReason::Rule(_)) => true,
            Decision::Excluded(DecisionReason::Rule(_)) => false,
            _ => level >= self.level,
        }
    }
}

/// Takes a log filter apart at `:`, `;` and line ends outside of square brackets.
fn split_filter(text: &str) -> Vec<(RuleKind, String)> {
    let mut rules = Vec::new();
    let mut depth = 0_usize;
    let parts = text.split(|character| {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && matches!(character, ':' | ';' | '\n')
    });
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let (kind, expression) = match part.split_at_checked(1) {
            Some(("-", rest)) => (RuleKind::Exclude, rest),
            Some(("+", rest)) => (RuleKind::Include, rest),
            _ => (RuleKind::Include, part),
        };
        rules.push((kind, expression.to_owned()));
    }
    rules
}

/// Lines that a result repeats, the first of each kind.
#[derive(Debug, Default, Clone)]
pub struct KeptLines {
    pub messages: Vec<String>,
    pub warnings: Vec<String>,
    pub errors: Vec<String>,
}

/// Lines for a report or a script, chosen by its own level and filter.
struct Collection {
    /// The beginning of the options that choose.
    place: &'static str,
    choice: Choice,
    /// Whether the lines leave this machine, so that paths are taken out.
    without_paths: bool,
    lines: Mutex<CollectedLines>,
}

#[derive(Default)]
struct CollectedLines {
    lines: Vec<String>,
    dropped: usize,
}

/// Somebody who gets the log lines of a run at its end.
#[derive(Debug, Clone, Copy)]
pub struct Listener {
    /// The beginning of the options that choose lines for it, such as `send-mail`.
    pub place: &'static str,
    /// Whether it is another machine.
    pub is_elsewhere: bool,
}

/// A line on its way to another part of this process.
pub struct HeardLine<'a> {
    pub level: Level,
    pub tag: &'a str,
    pub id: &'a str,
    pub text: &'a str,
}

/// Who hears every line, whatever its level. Called from many threads; must not block for long.
pub type LineListener = Box<dyn Fn(HeardLine<'_>) + Send + Sync>;

/// The log of one program.
pub struct Log {
    collections: Vec<Collection>,
    tag: String,
    console: Arc<Console>,
    console_choice: Choice,
    file: Option<(Mutex<File>, Choice)>,
    suppressed: Vec<String>,
    clock: Arc<dyn Clock>,
    messages: AtomicU64,
    warnings: AtomicU64,
    errors: AtomicU64,
    kept: Mutex<KeptLines>,
    listener: Option<LineListener>,
}

impl Log {
    /// The log as the options want it.
    pub fn new(
        spec: &CommandSpec,
        options: &Options,
        console: Arc<Console>,
        clock: Arc<dyn Clock>,
        listeners: &[Listener],
    ) -> Result<Self, UserError> {
        let shows_paths = options.bool("allow-paths-in-log-messages");
        let collections = listeners
            .iter()
            .map(|listener| {
                Ok(Collection {
                    place: listener.place,
                    choice: Choice::new(options, listener.place)?,
                    without_paths: listener.is_elsewhere && !shows_paths,
                    lines: Mutex::default(),
                })
            })
            .collect::<Result<_, UserError>>()?;
        let file = match options.path("log-file") {
            None => None,
            Some(path) => {
                let opened = File::options().append(true).create(true).mode(0o600).open(path);
                let file = opened.map_err(|error| {
                    UserError::failed(
                        ids::UNEXPECTED_FAILURE,
                        format!("failed to open the log file {}: {error}", path.display()),
                    )
                })?;
                Some((Mutex::new(file), Choice::new(options, "log-file")?))
            }
        };
        Ok(Self {
            collections,
            tag: crate::results::operation_name(spec.name).to_owned(),
            console_choice: Choice::new(options, "console")?,
            console,
            file,
            suppressed: options.list("suppress-warnings").to_vec(),
            clock,
            messages: AtomicU64::new(0),
            warnings: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            kept: Mutex::default(),
            listener: None,
        })
    }

    /// Lets another part of this process hear every line.
    #[must_use]
    pub fn heard_by(mut self, listener: LineListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Logs a line.
    pub fn write(&self, level: Level, id: &str, subject: &[u8], message: &str) {
        self.write_for(level, level, id, subject, message);
    }

    /// Logs that a request is tried again. The terminal shows it like a warning, because whoever sits there wonders why nothing
    /// happens; it counts as none, because nothing was lost.
    fn retry(&self, message: &str) {
        self.write_for(Level::Retry, Level::Warning, "RetryFollows", b"", message);
    }

    fn write_for(&self, level: Level, console_level: Level, id: &str, subject: &[u8], message: &str) {
        let is_suppressed = level == Level::Warning
            && self
                .suppressed
                .iter()
                .any(|suppressed| suppressed.eq_ignore_ascii_case(id));
        let (level, console_level) = if is_suppressed {
            (Level::Information, Level::Information)
        } else {
            (level, console_level)
        };
        let shown = display_path(subject).to_string();
        let text = if subject.is_empty() || message.contains(&shown) {
            message.to_owned()
        } else {
            format!("{shown}: {message}")
        };
        if let Some(listener) = &self.listener {
            listener(HeardLine {
                level,
                tag: &self.tag,
                id,
                text: &text,
            });
        }
        let now = zoned_now(self.clock.as_ref());
        let line = format!(
            "{} - [{}-{}-{id}]: {text}",
            now.strftime("%Y-%m-%d %H:%M:%S %z")
                .to_string()
                .get(..23)
                .unwrap_or_default(),
            level.name(),
            self.tag
        );
        self.keep(level, &line);
        self.collect(level, id, &line, &shown);
        if self.console_choice.takes(console_level, &self.tag, id) {
            self.show(level, id, subject, message, &line, &now);
        }
        if let Some((file, choice)) = &self.file
            && choice.takes(level, &self.tag, id)
        {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk under the log file must not end a backup.
            let _written = writeln!(file, "{line}");
        }
    }

    fn show(&self, level: Level, id: &str, subject: &[u8], message: &str, line: &str, now: &jiff::Zoned) {
        if self.console.is_json() {
            let event = EventLine {
                kind: "event",
                time: now.timestamp().to_string(),
                level: level.name(),
                id,
                subject: (!subject.is_empty()).then(|| PathText(subject.to_vec())),
                message,
            };
            let _seen_or_not = self.console.json(&event).and_then(|()| self.console.flush());
        } else if level >= Level::Error || (level == Level::Warning && !self.console.is_quiet()) {
            self.console.error_line(line);
        } else {
            self.console.notice(line);
        }
    }

    fn keep(&self, level: Level, line: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (counter, lines) = match level {
            Level::Error => (&self.errors, &mut kept.errors),
            Level::Warning => (&self.warnings, &mut kept.warnings),
            Level::Information | Level::DryRun => (&self.messages, &mut kept.messages),
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if lines.len() < LINES_KEPT_MAX {
            lines.push(line.to_owned());
        }
    }

    fn collect(&self, level: Level, id: &str, line: &str, subject: &str) {
        for collection in &self.collections {
            if !collection.choice.takes(level, &self.tag, id) {
                continue;
            }
            let mut collected = collection.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if collected.lines.len() >= LINES_COLLECTED_MAX {
                collected.dropped += 1;
                continue;
            }
            let line = if collection.without_paths {
                let line = match subject {
                    "" => line.to_owned(),
                    subject => line.replace(subject, redaction::REDACTED),
                };
                redaction::without_paths(&line).into_owned()
            } else {
                line.to_owned()
            };
            collected.lines.push(line);
        }
    }

    /// The lines for a report or a script.
    pub fn collected(&self, place: &str) -> Vec<String> {
        let Some(collection) = self.collections.iter().find(|known| known.place == place) else {
            return Vec::new();
        };
        let collected = collection.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = collected.lines.clone();
        if collected.dropped > 0 {
            lines.push(format!("... and {} more", collected.dropped));
        }
        lines
    }

    pub fn error(&self, id: &str, message: &str) {
        self.write(Level::Error, id, b"", message);
    }

    pub fn warning(&self, id: &str, message: &str) {
        self.write(Level::Warning, id, b"", message);
    }

    pub fn information(&self, id: &str, message: &str) {
        self.write(Level::Information, id, b"", message);
    }

    pub fn dry_run(&self, id: &str, message: &str) {
        self.write(Level::DryRun, id, b"", message);
    }

    /// Writes the end of the program to the log file; standard error gets it in its own form.
    pub fn failure(&self, error: &UserError) {
        if let Some((file, _)) = &self.file {
            let now = zoned_now(self.clock.as_ref())
                .strftime("%Y-%m-%d %H:%M:%S %z")
                .to_string();
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let _written = writeln!(
                file,
                "{} - [Error-{}-{}]: {}",
                now.get(..23).unwrap_or_default(),
                self.tag,
                error.id,
                error.message
            );
        }
    }

    pub fn message_count(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub fn warning_count(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }

    pub fn error_count(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// The lines for a result.
    pub fn kept(&self) -> KeptLines {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what libraries trace from now on.
    pub fn listen_to_libraries(self: &Arc<Self>) {
        // Only one listener can exist; in tests of one process another one may have been first.
        let _first = tracing_subscriber::registry()
            .with(LibraryLayer(Arc::clone(self)).with_filter(tracing_subscriber::filter::LevelFilter::INFO))
            .try_init();
    }
}

impl EventSink for Log {
    fn event(&self, event: Event) {
        let level = match event.severity {
            // What a dry run would do is told at its own level.
            Severity::Information | Severity::Verbose if event.id.starts_with("Would") => Level::DryRun,
            Severity::Verbose => Level::Verbose,
            Severity::Information => Level::Information,
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        };
        self.write(level, event.id, &event.subject, &event.message);
    }
}

/// The target under which stores tell that they try again.
const RETRY_TARGET: &str = "duplicati::retry";

struct LibraryLayer(Arc<Log>);

impl<S: Subscriber> Layer<S> for LibraryLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        let metadata: &Metadata<'_> = event.metadata();
        let is_ours = metadata.target().starts_with("duplicati");
        let level = match *metadata.level() {
            tracing::Level::ERROR if is_ours => Level::Error,
            tracing::Level::WARN if is_ours => Level::Warning,
            tracing::Level::INFO if is_ours => Level::Information,
            _ => Level::Verbose,
        };
        let mut text = FieldText::default();
        event.record(&mut text);
        if metadata.target() == RETRY_TARGET {
            self.0.retry(&text.0);
            return;
        }
        self.0.write(level, "Library", b"", &text.0);
    }
}

#[derive(Default)]
struct FieldText(String);

impl Visit for FieldText {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write;
        let _never_fails = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " ({name}: {value:?})"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_filter_is_split_outside_of_brackets_only() {
        let rules = split_filter("+Backup-*;-[Re:st;ore-.*]:Plain\n");
        assert_eq!(
            rules,
            [
                (RuleKind::Include, "Backup-*".to_owned()),
                (RuleKind::Exclude, "[Re:st;ore-.*]".to_owned()),
                (RuleKind::Include, "Plain".to_owned())
            ]
        );
    }

    #[test]
    fn a_filter_decides_before_the_level_and_an_ignored_id_before_both() {
        let rules = split_filter("-*-Noise:+Backup-Detail");
        let filter = SourceFilter::parse(
            rules.iter().map(|(kind, text)| (*kind, text.as_str())),
            VariableStyle::CommandLine,
            &FilterEnvironment::default(),
        )
        .unwrap();
        let choice = Choice {
            level: Level::Warning,
            filter,
            ignored: vec!["Quiet".to_owned()],
        };
        assert!(choice.takes(Level::Verbose, "Backup", "Detail"));
        assert!(!choice.takes(Level::Error, "Backup", "Noise"));
        assert!(!choice.takes(Level::Error, "Backup", "quiet"));
        assert!(choice.takes(Level::Warning, "Backup", "Other"));
        assert!(!choice.takes(Level::Information, "Backup", "Other"));
    }

    #[test]
    fn levels_are_found_by_any_case_and_ordered_by_weight() {
        assert_eq!(Level::from_name("dryrun"), Some(Level::DryRun));
        assert!(Level::ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
