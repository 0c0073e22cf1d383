// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages for the user.

use serde_json::{Value, json};

use crate::database::logs::Notification;

/// A message.
pub fn notification(one: &Notification) -> Value {
    json!({
        "ID": one.id, "Type": one.kind, "Title": one.title, "Message": one.message, "Exception": one.exception,
        "BackupID": one.backup_id, "Action": one.action, "Timestamp": one.time, "LogEntryID": one.log_entry_id,
        "MessageID": one.message_id, "MessageLogTag": one.message_log_tag,
    })
}

/// All messages.
pub fn list(all: &[Notification]) -> Value {
    Value::Array(all.iter().map(notification).collect())
}
