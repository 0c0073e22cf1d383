// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Results with the keys that Duplicati's reports have, so that whatever reads those reads these.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_programs_common::ExitCode;
use jiff::Zoned;
use serde_json::{Map, Value, json};

use crate::{connection::Connection, failure::Outcome, invocation::Invocation};

/// Keys of messages, in which paths stand.
const MESSAGES: [&str; 3] = ["Messages", "Warnings", "Errors"];

/// A result object that is being put together.
pub struct CommandResult {
    operation: &'static str,
    has_errors: bool,
    is_partial: bool,
    values: Map<String, Value>,
}

/// The name of an operation in results and log lines.
pub fn operation_name(command: &str) -> &'static str {
    match command {
        "backup" => "Backup",
        "restore" | "dump" => "Restore",
        "find" | "list" => "List",
        "list-filesets" => "ListFilesets",
        "list-folder-content" => "ListFolder",
        "list-file-versions" => "ListFileVersions",
        "search-entries" => "SearchFiles",
        "compare" => "ListChanges",
        "affected" => "ListAffected",
        "delete" => "Delete",
        "compact" => "Compact",
        "test" => "Test",
        "repair" => "Repair",
        "purge" => "PurgeFiles",
        "list-broken-files" => "ListBrokenFiles",
        "purge-broken-files" => "PurgeBrokenFiles",
        "create-report" => "CreateLogDb",
        "test-filters" => "TestFilters",
        "system-info" => "SystemInfo",
        "vacuum" => "Vacuum",
        "send-mail" => "SendMail",
        "set-locks" => "SetLock",
        "read-lock-info" => "ReadLockInfo",
        "sync" => "Sync",
        "benchmark" => "Benchmark",
        "key" => "Key",
        _ => "Command",
    }
}

impl CommandResult {
    /// An empty result of the command at hand.
    pub fn new(invocation: &Invocation) -> Self {
        Self {
            operation: operation_name(invocation.spec.name),
            has_errors: false,
            is_partial: false,
            values: Map::new(),
        }
    }

    /// Sets a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.values.insert(key.to_owned(), value.into());
        self
    }

    /// Sets several keys.
    #[must_use]
    pub fn with_all(mut self, values: Value) -> Self {
        if let Value::Object(values) = values {
            self.values.extend(values);
        }
        self
    }

    /// Says that something is damaged or could not be done.
    #[must_use]
    pub fn errors(mut self, has_errors: bool) -> Self {
        self.has_errors |= has_errors;
        self
    }

    /// Says that the run was stopped early.
    #[must_use]
    pub fn partial(mut self, is_partial: bool) -> Self {
        self.is_partial = is_partial;
        self
    }

    fn backend_statistics(&self, common: &Value, progress: &ProgressSnapshot) -> Value {
        let deleted = self
            .values
            .get("CompactResults")
            .unwrap_or(&Value::Null)
            .get("DeletedFileCount")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let mut statistics = json!({
            "RemoteCalls": progress.stored_objects + progress.fetched_objects + deleted,
            "BytesUploaded": progress.stored_bytes,
            "BytesDownloaded": progress.fetched_bytes,
            "FilesUploaded": progress.stored_objects,
            "FilesDownloaded": progress.fetched_objects,
            "FilesDeleted": deleted,
            "FoldersCreated": 0,
            "RetryAttempts": 0,
        });
        // Unknown until the destination was listed.
        let unlisted = json!({
            "KnownFileCount": 0, "KnownFileSize": 0, "KnownFilesets": 0, "BackupListCount": 0, "UnknownFileCount": 0,
            "UnknownFileSize": 0, "LastBackupDate": "0001-01-01T00:00:00", "TotalQuotaSpace": -1, "FreeQuotaSpace": -1,
            "AssignedQuotaSpace": -1, "ReportedQuotaError": false, "ReportedQuotaWarning": false,
        });
        let held = self.values.get("Holdings").filter(|held| held.is_object());
        let shared = [
            "ParsedResult",
            "Interrupted",
            "Fatal",
            "Version",
            "MessagesActualLength",
            "WarningsActualLength",
            "ErrorsActualLength",
        ];
        if let Value::Object(statistics) = &mut statistics {
            if let Value::Object(held) = held.unwrap_or(&unlisted) {
                statistics.extend(held.clone());
            }
            for key in shared {
                statistics.insert(key.to_owned(), common[key].clone());
            }
        }
        statistics
    }

    /// Adds the common keys, prints and records the result.
    pub fn finish(
        mut self,
        invocation: &Invocation,
        connection: Option<&Connection>,
        progress: &ProgressSnapshot,
        code: ExitCode,
    ) -> Outcome<ExitCode> {
        let log = &invocation.log;
        let (end, kept) = (invocation.now(), log.kept());
        let level = if self.has_errors || log.error_count() > 0 {
            "Error"
        } else if self.is_partial || log.warning_count() > 0 {
            "Warning"
        } else {
            "Success"
        };
        let code = if self.has_errors && code == ExitCode::Success {
            ExitCode::Errors
        } else {
            final_code(invocation, code)
        };
        let common = json!({
            "MainOperation": self.operation,
            "ParsedResult": level,
            "Interrupted": self.is_partial,
            "Fatal": false,
            "Version": format!("{} (duplicati-cli)", env!("CARGO_PKG_VERSION")),
            "BeginTime": invocation.begin.timestamp().to_string(),
            "EndTime": end.timestamp().to_string(),
            "Duration": duration_text(&invocation.begin, &end),
            "MessagesActualLength": log.message_count(),
            "WarningsActualLength": log.warning_count(),
            "ErrorsActualLength": log.error_count(),
            "Messages": kept.messages,
            "Warnings": kept.warnings,
            "Errors": kept.errors,
        });
        self.values.insert(
            "BackendStatistics".to_owned(),
            self.backend_statistics(&common, progress),
        );
        self.values.remove("Holdings");
        if let Value::Object(mut common) = common {
            common.append(&mut self.values);
            self.values = common;
        }
        if let Some(connection) = connection
            && !invocation.spec.read_only
            && !invocation.is_dry_run()
        {
            let mut detail = self.values.clone();
            if !connection.repository.data.can_open() {
                // On such a machine the database may be stolen, and then it must not tell of files that are not there any more.
                for key in MESSAGES {
                    detail.remove(key);
                }
            }
            let detail = Value::Object(detail).to_string();
            connection.record(invocation, self.operation, level, &detail);
        }
        invocation.keep_result(self.values);
        Ok(code)
    }
}

/// Prints a kept result as the last line, with the exit code that the program really ends with.
pub fn print(invocation: &Invocation, mut result: Map<String, Value>, code: ExitCode) -> Outcome<()> {
    let mut line = Map::new();
    line.insert("type".to_owned(), json!("result"));
    line.insert("exit_code".to_owned(), json!(code.code()));
    line.append(&mut result);
    Ok(invocation.console.json(&line)?)
}

/// Errors turn success into 3 and warnings into 2, also those that came up after the command had ended, such as an undelivered report.
pub fn final_code(invocation: &Invocation, code: ExitCode) -> ExitCode {
    let log = &invocation.log;
    match code {
        ExitCode::Success | ExitCode::NoChanges | ExitCode::Warnings if log.error_count() > 0 => {
            ExitCode::Errors
        }
        ExitCode::Success | ExitCode::NoChanges if log.warning_count() > 0 => ExitCode::Warnings,
        code => code,
    }
}

/// The keys of a backup's result.
pub fn backup_values(progress: &ProgressSnapshot, is_partial: bool, is_dry_run: bool) -> Value {
    json!({
        "ExaminedFiles": progress.examined_files,
        "OpenedFiles": progress.opened_files,
        "AddedFiles": progress.added_files,
        "ModifiedFiles": progress.modified_files,
        "DeletedFiles": progress.deleted_files,
        "SizeOfExaminedFiles": progress.examined_bytes,
        "SizeOfOpenedFiles": progress.opened_bytes,
        "SizeOfAddedFiles": progress.added_bytes,
        "SizeOfModifiedFiles": progress.modified_bytes,
        "AddedFolders": progress.added_folders,
        "ModifiedFolders": progress.modified_folders,
        "DeletedFolders": progress.deleted_folders,
        "AddedSymlinks": progress.added_symlinks,
        "ModifiedSymlinks": progress.modified_symlinks,
        "DeletedSymlinks": progress.deleted_symlinks,
        "TooLargeFiles": progress.too_large_files,
        "FilesWithError": progress.files_with_error,
        "NotProcessedFiles": 0,
        "TimestampChangedFiles": 0,
        "CompactResults": null,
        "DeleteResults": null,
        "PartialBackup": is_partial,
        "Dryrun": is_dry_run,
    })
}

/// `hh:mm:ss.fffffff`.
fn duration_text(begin: &Zoned, end: &Zoned) -> String {
    let nanoseconds = end.duration_since(begin).as_nanos().max(0);
    let seconds = nanoseconds / 1_000_000_000;
    format!(
        "{:02}:{:02}:{:02}.{:07}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        nanoseconds % 1_000_000_000 / 100
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_seven_digits_of_a_second() {
        let begin: Zoned = "2026-03-31T12:00:00Z[UTC]".parse().unwrap();
        let end: Zoned = "2026-03-31T13:01:02.5Z[UTC]".parse().unwrap();
        assert_eq!(duration_text(&begin, &end), "01:01:02.5000000");
        assert_eq!(duration_text(&end, &begin), "00:00:00.0000000");
    }

    #[test]
    fn every_command_that_has_a_result_has_a_name() {
        let unnamed: Vec<_> = duplicati_programs_common::commands::COMMANDS
            .iter()
            .map(|command| command.name)
            .filter(|name| operation_name(name) == "Command")
            .collect();
        assert_eq!(unnamed, ["help", "example", "changelog"]);
    }
}
