// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Carries commands out with the library behind `duplicati-cli`: each on a thread of its own.

use std::ffi::OsString;

use duplicati_actors::control::RunControl;
use duplicati_api::{
    commands_port::{
        CommandCall, CommandEnd, CommandError, CommandPort, LogLine, Look, OptionInfo, PortFuture, StoredSize,
    },
    live_log::LogLevel,
};
use duplicati_cli::embedded::{self, Call, End, HeardLine, Level};
use duplicati_engine::source::filter::{
    Decision, DecisionReason, FilterEnvironment, RuleKind, SourceFilter, VariableStyle, group_patterns,
};
use duplicati_programs_common::{
    Environment, Options, UserError, aes_crypt,
    commands::COMMANDS,
    error_id::ids,
    options::{Group, Handling, Kind, table},
};
use jiff::Zoned;

/// Commands of the line that make no sense for a server.
const NOT_HERE: [&str; 3] = ["help", "example", "changelog"];
/// Groups of filters that clients offer, with the names under which they know them.
const FILTER_GROUPS: [&str; 8] = [
    "None",
    "SystemFiles",
    "OperatingSystem",
    "CacheFiles",
    "TemporaryFiles",
    "Applications",
    "DefaultExcludes",
    "DefaultIncludes",
];

/// The port.
pub struct Commands {
    pub environment: Environment,
    pub filters: FilterEnvironment,
    /// Options of the server that hold for every command.
    pub forced: Vec<OsString>,
}

impl Commands {
    fn call(&self, call: CommandCall) -> Call {
        let listener = call.listener;
        let mut arguments = call.arguments;
        arguments.extend(self.forced.iter().cloned());
        Call {
            arguments,
            environment: self.environment.clone(),
            control: call.control,
            progress: call.progress,
            listener: Box::new(move |line: HeardLine<'_>| {
                listener(LogLine {
                    level: level(line.level),
                    tag: line.tag.to_owned(),
                    id: line.id.to_owned(),
                    text: line.text.to_owned(),
                });
            }),
            is_json: call.is_json,
        }
    }

    fn silent(&self, mut arguments: Vec<OsString>) -> Call {
        arguments.extend(self.forced.iter().cloned());
        Call {
            arguments,
            environment: self.environment.clone(),
            control: RunControl::new(),
            progress: std::sync::Arc::default(),
            listener: Box::new(|_| {}),
            is_json: true,
        }
    }
}

fn level(level: Level) -> LogLevel {
    LogLevel::parse(level.name()).unwrap_or(LogLevel::Information)
}

fn error(error: UserError) -> CommandError {
    CommandError {
        id: error.id.to_owned(),
        message: error.message,
    }
}

fn lost() -> CommandError {
    CommandError {
        id: ids::UNEXPECTED_FAILURE.to_owned(),
        message: "the command ended by a defect of the program; its log says where".to_owned(),
    }
}

/// Runs work on a thread of its own; none when it panicked.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("command".to_owned())
        .spawn(move || {
            // Whoever waited may have gone.
            let _heard = sender.send(work()).is_ok();
        });
    match thread {
        Ok(_) => receiver.await.ok(),
        Err(_) => None,
    }
}

impl CommandPort for Commands {
    fn run(&self, call: CommandCall) -> PortFuture<CommandEnd> {
        let call = self.call(call);
        Box::pin(async move {
            match on_thread(move || embedded::run(call)).await {
                Some(End {
                    exit_code,
                    lines,
                    error: failed,
                }) => CommandEnd {
                    exit_code: exit_code.code(),
                    lines,
                    error: failed.map(error),
                },
                None => CommandEnd {
                    exit_code: duplicati_programs_common::ExitCode::Failed.code(),
                    lines: Vec::new(),
                    error: Some(lost()),
                },
            }
        })
    }

    fn look(&self, arguments: Vec<OsString>, create: bool) -> PortFuture<Result<Look, CommandError>> {
        let call = self.silent(arguments);
        Box::pin(async move {
            let looked = on_thread(move || embedded::look(call, create)).await;
            let look = looked.ok_or_else(lost)?.map_err(error)?;
            Ok(Look {
                folder_exists: look.folder_exists,
                is_empty: look.is_empty,
                has_repository: look.has_repository,
                is_encrypted: look.is_encrypted,
            })
        })
    }

    fn stored_size(&self, arguments: Vec<OsString>) -> PortFuture<Result<StoredSize, CommandError>> {
        let call = self.silent(arguments);
        Box::pin(async move {
            let size = on_thread(move || embedded::size(call)).await;
            let size = size.ok_or_else(lost)?.map_err(error)?;
            Ok(StoredSize {
                objects: size.objects,
                bytes: size.bytes,
            })
        })
    }

    fn remove_repository(&self, arguments: Vec<OsString>) -> PortFuture<Result<StoredSize, CommandError>> {
        let call = self.silent(arguments);
        Box::pin(async move {
            let size = on_thread(move || embedded::remove_repository(call)).await;
            let size = size.ok_or_else(lost)?.map_err(error)?;
            Ok(StoredSize {
                objects: size.objects,
                bytes: size.bytes,
            })
        })
    }

    fn check_option(&self, name: &str, value: &str) -> Result<(), CommandError> {
        let now = Zoned::default();
        let mut options = Options::defaults(&now);
        options.set(name, Some(value.as_ref()), &now).map_err(error)
    }

    fn decide(
        &self,
        filters: &[(bool, String)],
        paths: &[String],
    ) -> Result<Vec<(bool, Option<usize>)>, CommandError> {
        let rules = filters.iter().map(|(include, text)| {
            let kind = if *include {
                RuleKind::Include
            } else {
                RuleKind::Exclude
            };
            (kind, text.as_str())
        });
        let filter =
            SourceFilter::parse(rules, VariableStyle::CommandLine, &self.filters).map_err(|wrong| {
                CommandError {
                    id: ids::INVALID_OPTION_VALUE.to_owned(),
                    message: wrong.to_string(),
                }
            })?;
        let rule = |reason| match reason {
            DecisionReason::Rule(rule) => Some(rule),
            DecisionReason::Default => None,
        };
        Ok(paths
            .iter()
            .map(|path| match filter.decide(path.as_bytes()) {
                Decision::Included(reason) => (true, rule(reason)),
                Decision::Excluded(reason) => (false, rule(reason)),
            })
            .collect())
    }

    fn open_export(&self, content: &[u8], passphrase: &str) -> Result<Vec<u8>, CommandError> {
        aes_crypt::open(content, passphrase)
            .map(|opened| opened.to_vec())
            .map_err(|wrong| CommandError {
                id: ids::WRONG_PASSPHRASE.to_owned(),
                message: wrong.to_string(),
            })
    }

    fn options(&self) -> Vec<OptionInfo> {
        table::all()
            .map(|spec| {
                let values = match spec.kind {
                    Kind::Enum { values, .. } | Kind::Flags(values) => {
                        values.iter().map(|value| (*value).to_owned()).collect()
                    }
                    _ => Vec::new(),
                };
                let kind = match spec.kind {
                    Kind::Boolean => "Boolean",
                    Kind::Integer { .. } => "Integer",
                    Kind::Decimal => "Decimal",
                    Kind::Size(_) => "Size",
                    Kind::Timespan => "Timespan",
                    Kind::TimePoint => "DateTime",
                    Kind::Path => "Path",
                    Kind::Enum { .. } => "Enumeration",
                    Kind::Secret => "Password",
                    Kind::Flags(_) => "Flags",
                    Kind::Versions | Kind::PathList | Kind::Text | Kind::List(_) => "String",
                };
                OptionInfo {
                    name: spec.name,
                    aliases: spec.aliases,
                    help: spec.help,
                    kind,
                    default: spec.default,
                    values,
                    deprecation: match spec.handling {
                        Handling::Deprecated(reason) | Handling::AcceptedWithWarning(reason) => Some(reason),
                        _ => None,
                    },
                    is_secret: spec.kind == Kind::Secret,
                    is_backend: spec.group == Group::Backend,
                }
            })
            .collect()
    }

    fn schemes(&self) -> Vec<String> {
        let known = duplicati_backends::registry::KnownSchemes.to_string();
        known.split(", ").map(str::to_owned).collect()
    }

    fn commands(&self) -> Vec<&'static str> {
        COMMANDS
            .iter()
            .map(|command| command.name)
            .filter(|name| !NOT_HERE.contains(name))
            .collect()
    }

    fn filter_groups(&self) -> Vec<(&'static str, Vec<String>)> {
        FILTER_GROUPS
            .into_iter()
            .map(|name| (name, group_patterns(name, &self.filters).unwrap_or_default()))
            .collect()
    }
}

/// Whether an option holds a secret, by any of its names.
pub fn is_secret(name: &str) -> bool {
    let plain = name.trim_start_matches('-').to_ascii_lowercase();
    table::find(&plain).is_some_and(|spec| spec.kind == Kind::Secret)
        || plain.ends_with("-password")
        || plain.ends_with("-secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_every_spelling() {
        for name in ["passphrase", "--passphrase", "--AUTH-PASSWORD", "auth-password"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["dblock-size", "--auth-username", "backup-name"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
