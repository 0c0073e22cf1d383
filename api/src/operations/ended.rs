// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the end of an operation leaves: a row of the job's log, metadata, messages, and the next time of its schedule.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Operation, arguments, read, set_unread};
use crate::{
    commands_port::CommandEnd,
    database::{DatabaseError, logs::Notification},
    dto::time,
    hub::Change,
    model::Backup,
    state::App,
};

/// Longest result that is stored, bytes; a result has at most 20 lines of each kind, so this is generous.
const RESULT_BYTES_MAX: usize = 1 << 20;
/// Operations after which the destination is counted.
const CHANGES_TARGET: [&str; 6] = [
    "Backup",
    "Compact",
    "Delete",
    "Repair",
    "PurgeBrokenFiles",
    "ListRemote",
];

/// Takes note of everything. A database that fails is logged and costs the note, not the result.
pub async fn ended(app: &App, backup: &Backup, operation: &Operation, began: Timestamp, end: &CommandEnd) {
    let finished = app.now();
    let mut result = result(operation, began, finished, end);
    app.metrics
        .job_ended(backup, operation.kind, began, finished, &result);
    let noted = note(app, backup, operation, began, finished, end, &mut result).await;
    if let Err(error) = noted {
        tracing::error!(%error, backup = %backup.id, "failed to note the end of an operation");
    }
    app.hub.tell(Change::Backups);
    app.hub.tell(Change::Notifications);
    app.wake_scheduler();
}

async fn note(
    app: &App,
    backup: &Backup,
    operation: &Operation,
    began: Timestamp,
    finished: Timestamp,
    end: &CommandEnd,
    result: &mut Value,
) -> Result<(), DatabaseError> {
    let mut metadata = own_metadata(operation, began, finished, end, result);
    if end.error.is_none() && CHANGES_TARGET.contains(&operation.kind) {
        metadata.extend(target_metadata(app, backup, result).await);
    }
    let text = result.to_string();
    let text = if text.len() > RESULT_BYTES_MAX {
        "{}".to_owned()
    } else {
        text
    };
    let row = app
        .database
        .add_job_log(&backup.id, finished.as_second(), operation.kind, &text)
        .await?;
    if let Some(error) = &end.error {
        let exception = format!("ErrorID: {}", error.id);
        app.database
            .add_error_log(Some(&backup.id), finished.as_second(), &error.message, &exception)
            .await?;
    }
    app.database.set_metadata(&backup.id, &metadata).await?;
    if let Some(next) = operation.next {
        app.database.scheduled_run_ended(&backup.id, next, began).await?;
    }
    tell(app, backup, operation, finished, end, result, row).await
}

/// The result object; one is made for a command that has none.
fn result(operation: &Operation, began: Timestamp, finished: Timestamp, end: &CommandEnd) -> Value {
    if let Some(mut result) = end.result() {
        if let Value::Object(values) = &mut result {
            values.remove("type");
            values.remove("exit_code");
        }
        return result;
    }
    let errors: Vec<String> = end.error.iter().map(|error| error.message.clone()).collect();
    json!({
        "MainOperation": operation.kind,
        "ParsedResult": if errors.is_empty() { "Unknown" } else { "Fatal" },
        "Interrupted": false,
        "Fatal": !errors.is_empty(),
        "BeginTime": time::iso(began),
        "EndTime": time::iso(finished),
        "Duration": time::duration(began, finished),
        "MessagesActualLength": 0, "WarningsActualLength": 0, "ErrorsActualLength": errors.len(),
        "Messages": [], "Warnings": [], "Errors": errors,
        "BackendStatistics": {},
    })
}

fn own_metadata(
    operation: &Operation,
    began: Timestamp,
    finished: Timestamp,
    end: &CommandEnd,
    result: &Value,
) -> Vec<(String, String)> {
    let mut metadata = Vec::new();
    if let Some(error) = &end.error {
        metadata.push(("LastErrorDate".to_owned(), time::compact(finished)));
        metadata.push(("LastErrorMessage".to_owned(), error.message.clone()));
        return metadata;
    }
    let is_whole = result["Interrupted"] != true;
    let prefix = match operation.kind {
        "Backup" if is_whole => "LastBackup",
        "Restore" => "LastRestore",
        "Compact" => "LastCompact",
        "Vacuum" => "LastVacuum",
        _ => return metadata,
    };
    metadata.push((format!("{prefix}Started"), time::compact(began)));
    metadata.push((format!("{prefix}Finished"), time::compact(finished)));
    metadata.push((format!("{prefix}Duration"), time::duration(began, finished)));
    if operation.kind == "Backup" {
        let number = |name: &str| result[name].as_u64().unwrap_or(0);
        metadata.push((
            "SourceFilesSize".to_owned(),
            number("SizeOfExaminedFiles").to_string(),
        ));
        metadata.push(("SourceFilesCount".to_owned(), number("ExaminedFiles").to_string()));
        metadata.push((
            "SourceSizeString".to_owned(),
            size_text(number("SizeOfExaminedFiles")),
        ));
    }
    metadata
}

/// Counts the destination, and puts the counts into the result as well.
async fn target_metadata(app: &App, backup: &Backup, result: &mut Value) -> Vec<(String, String)> {
    let mut metadata = Vec::new();
    let listing = Operation::new("ListFilesets", "list-filesets");
    let look = arguments::of(app, backup, &listing);
    if let Ok(size) = app.commands.stored_size(look).await {
        metadata.push(("TargetFilesSize".to_owned(), size.bytes.to_string()));
        metadata.push(("TargetFilesCount".to_owned(), size.objects.to_string()));
        metadata.push(("TargetSizeString".to_owned(), size_text(size.bytes)));
        result["BackendStatistics"]["KnownFileSize"] = size.bytes.into();
        result["BackendStatistics"]["KnownFileCount"] = size.objects.into();
    }
    let versions = read(app, backup, &listing).await;
    if versions.error.is_none() {
        let versions = versions.objects("version");
        metadata.push(("BackupListCount".to_owned(), versions.len().to_string()));
        metadata.push(("TargetFilesetsCount".to_owned(), versions.len().to_string()));
        let newest = versions
            .first()
            .and_then(|version| version["time"].as_str()?.parse().ok());
        if let Some(newest) = newest {
            metadata.push(("LastBackupDate".to_owned(), time::compact(newest)));
        }
        result["BackendStatistics"]["KnownFilesets"] = versions.len().into();
        result["BackendStatistics"]["BackupListCount"] = versions.len().into();
    }
    for name in ["TotalQuotaSpace", "FreeQuotaSpace", "AssignedQuotaSpace"] {
        metadata.push((name.to_owned(), "-1".to_owned()));
    }
    metadata
}

/// Tells the user what needs attention, and takes back what does not any more.
async fn tell(
    app: &App,
    backup: &Backup,
    operation: &Operation,
    finished: Timestamp,
    end: &CommandEnd,
    result: &Value,
    row: i64,
) -> Result<(), DatabaseError> {
    let count = |name: &str| result[name].as_u64().unwrap_or(0);
    let (errors, warnings) = (count("ErrorsActualLength"), count("WarningsActualLength"));
    let single = |name: &str| result[name][0].as_str().unwrap_or_default().to_owned();
    let (kind, message, exception) = if let Some(error) = &end.error {
        ("Error", error.message.clone(), format!("ErrorID: {}", error.id))
    } else if errors > 0 || count("FilesWithError") > 0 {
        let message = if errors == 1 {
            single("Errors")
        } else {
            format!("Got {errors} error(s)")
        };
        ("Error", message, String::new())
    } else if warnings > 0 {
        let message = if warnings == 1 {
            single("Warnings")
        } else {
            format!("Got {warnings} warning(s)")
        };
        ("Warning", message, String::new())
    } else {
        if operation.kind == "Backup" && app.database.delete_notifications_of(&backup.id).await? {
            recount_unread(app).await?;
        }
        return Ok(());
    };
    if end.error.is_some() {
        app.database.delete_notifications_of(&backup.id).await?;
    }
    let title = format!("{kind} while running {}", backup.name);
    let notification = Notification {
        kind: kind.to_owned(),
        title,
        message,
        exception,
        backup_id: Some(backup.id.clone()),
        action: "backup:show-log".to_owned(),
        time: time::iso(finished),
        log_entry_id: Some(row.to_string()),
        message_id: end.error.as_ref().map(|error| error.id.clone()),
        ..Notification::default()
    };
    app.database.add_notification(&notification).await?;
    recount_unread(app).await
}

/// Sets the marks of unread warnings and errors by the messages that are left.
///
/// # Errors
/// When the database fails.
pub async fn recount_unread(app: &App) -> Result<(), DatabaseError> {
    let all = app.database.notifications().await?;
    let has = |kind: &str| all.iter().any(|one| one.kind == kind);
    set_unread(app, "unacked-error", has("Error")).await;
    set_unread(app, "unacked-warning", has("Warning")).await;
    Ok(())
}

/// `1.50 GiB`.
fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} bytes")
    } else {
        format!("{size:.2} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_largest_unit_that_fits() {
        assert_eq!(size_text(0), "0 bytes");
        assert_eq!(size_text(1_536), "1.50 KiB");
        assert_eq!(size_text(1 << 40), "1.00 TiB");
        assert_eq!(size_text(1 << 50), "1024.00 TiB");
    }
}
