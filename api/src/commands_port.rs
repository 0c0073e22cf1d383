// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The port to what carries commands out. This crate turns jobs into command lines; it does not know how a backup is made.

use std::{ffi::OsString, future::Future, pin::Pin, sync::Arc};

use duplicati_actors::{control::RunControl, events::Progress};
use serde_json::Value;

use crate::live_log::LogLevel;

/// A future of the port.
pub type PortFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A line of a command's log.
pub struct LogLine {
    pub level: LogLevel,
    pub tag: String,
    pub id: String,
    pub text: String,
}

/// Who hears log lines.
pub type LogListener = Arc<dyn Fn(LogLine) + Send + Sync>;

/// One command.
pub struct CommandCall {
    /// Command, destination, further arguments and options, as typed.
    pub arguments: Vec<OsString>,
    pub control: RunControl,
    pub progress: Arc<Progress>,
    pub listener: LogListener,
    /// Whether the lines are wanted as JSON objects.
    pub is_json: bool,
}

/// Why a command has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// A stable id.
    pub id: String,
    pub message: String,
}

/// How a command ended.
pub struct CommandEnd {
    pub exit_code: u8,
    pub lines: Vec<String>,
    pub error: Option<CommandError>,
}

impl CommandEnd {
    /// The objects of a type among the lines.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        self.lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|value| value["type"] == kind)
            .collect()
    }

    /// The result object.
    pub fn result(&self) -> Option<Value> {
        let line = self.lines.iter().rev().find(|line| line.contains("\"result\""))?;
        serde_json::from_str::<Value>(line)
            .ok()
            .filter(|value| value["type"] == "result")
    }
}

/// What a look at a destination found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub folder_exists: bool,
    pub is_empty: bool,
    pub has_repository: bool,
    pub is_encrypted: bool,
}

/// What lies at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredSize {
    pub objects: u64,
    pub bytes: u64,
}

/// An option of the command line.
#[derive(Debug, Clone)]
pub struct OptionInfo {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub help: &'static str,
    /// `String`, `Integer`, `Boolean`, `Timespan`, `DateTime`, `Size`, `Enumeration`, `Path`, `Password`, `Flags`, `Decimal`.
    pub kind: &'static str,
    pub default: &'static str,
    pub values: Vec<String>,
    pub deprecation: Option<&'static str>,
    pub is_secret: bool,
    /// Whether it belongs to a kind of destination.
    pub is_backend: bool,
}

/// Carries commands out.
pub trait CommandPort: Send + Sync + 'static {
    /// Runs a command to its end.
    fn run(&self, call: CommandCall) -> PortFuture<CommandEnd>;

    /// Looks at the destination of a command line without a key; `create` makes a missing folder.
    fn look(&self, arguments: Vec<OsString>, create: bool) -> PortFuture<Result<Look, CommandError>>;

    /// Counts what lies at the destination of a command line.
    fn stored_size(&self, arguments: Vec<OsString>) -> PortFuture<Result<StoredSize, CommandError>>;

    /// Removes everything of a repository from the destination of a command line.
    fn remove_repository(&self, arguments: Vec<OsString>) -> PortFuture<Result<StoredSize, CommandError>>;

    /// Checks an option's value; the error says what is wrong.
    fn check_option(&self, name: &str, value: &str) -> Result<(), CommandError>;

    /// Decides paths by filters: for each path, whether it is taken and by which filter (its place).
    fn decide(
        &self,
        filters: &[(bool, String)],
        paths: &[String],
    ) -> Result<Vec<(bool, Option<usize>)>, CommandError>;

    /// Opens an encrypted export file.
    fn open_export(&self, content: &[u8], passphrase: &str) -> Result<Vec<u8>, CommandError>;

    /// All options.
    fn options(&self) -> Vec<OptionInfo>;

    /// Kinds of destinations.
    fn schemes(&self) -> Vec<String>;

    /// Names of all commands.
    fn commands(&self) -> Vec<&'static str>;

    /// Filter groups by name, as this machine has them.
    fn filter_groups(&self) -> Vec<(&'static str, Vec<String>)>;
}
