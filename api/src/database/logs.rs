// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Results of jobs, failures of the server, and messages for the user.

use super::{Database, DatabaseError, rows::Row};

/// A result of a job.
pub struct JobLogRow {
    pub id: i64,
    /// Unix seconds.
    pub time: i64,
    pub operation: String,
    /// A JSON object.
    pub message: String,
}

/// A failure of the server.
pub struct ErrorLogRow {
    pub backup_id: Option<String>,
    /// Unix seconds.
    pub time: i64,
    pub message: String,
    pub exception: String,
}

/// A message for the user.
#[derive(Debug, Clone, Default)]
pub struct Notification {
    pub id: i64,
    /// `Information`, `Warning` or `Error`.
    pub kind: String,
    pub title: String,
    pub message: String,
    pub exception: String,
    pub backup_id: Option<String>,
    pub action: String,
    /// ISO 8601.
    pub time: String,
    pub log_entry_id: Option<String>,
    pub message_id: Option<String>,
    pub message_log_tag: Option<String>,
}

impl Database {
    pub(crate) async fn add_job_log(
        &self,
        backup_id: &str,
        time: i64,
        operation: &str,
        message: &str,
    ) -> Result<i64, DatabaseError> {
        let rows = self
            .rows(
                "INSERT INTO job_log (backup_id, time, operation, message) VALUES ($1, $2, $3, $4) RETURNING id",
                &[backup_id.into(), time.into(), operation.into(), message.into()],
            )
            .await?;
        rows.first().map_or(Ok(0), |row| row.integer(0))
    }

    pub(crate) async fn job_log(
        &self,
        backup_id: &str,
        before: i64,
        count: i64,
    ) -> Result<Vec<JobLogRow>, DatabaseError> {
        let rows = self
            .rows(
                "SELECT id, time, operation, message FROM job_log WHERE backup_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
                &[backup_id.into(), before.into(), count.into()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(JobLogRow {
                    id: row.integer(0)?,
                    time: row.integer(1)?,
                    operation: row.text(2)?,
                    message: row.text(3)?,
                })
            })
            .collect()
    }

    pub(crate) async fn add_error_log(
        &self,
        backup_id: Option<&str>,
        time: i64,
        message: &str,
        exception: &str,
    ) -> Result<(), DatabaseError> {
        self.execute(
            "INSERT INTO error_log (backup_id, time, message, exception) VALUES ($1, $2, $3, $4)",
            &[
                backup_id.map(str::to_owned).into(),
                time.into(),
                message.into(),
                exception.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(crate) async fn error_log(&self, before: i64, count: i64) -> Result<Vec<ErrorLogRow>, DatabaseError> {
        let rows = self
            .rows(
                "SELECT backup_id, time, message, exception FROM error_log WHERE time < $1 ORDER BY id DESC LIMIT $2",
                &[before.into(), count.into()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ErrorLogRow {
                    backup_id: row.optional_text(0)?,
                    time: row.integer(1)?,
                    message: row.text(2)?,
                    exception: row.text(3)?,
                })
            })
            .collect()
    }

    /// Removes rows of logs that are older than a time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_logs(&self, before: i64) -> Result<(), DatabaseError> {
        self.execute("DELETE FROM job_log WHERE time < $1", &[before.into()])
            .await?;
        self.execute("DELETE FROM error_log WHERE time < $1", &[before.into()])
            .await?;
        Ok(())
    }

    pub(crate) async fn notifications(&self) -> Result<Vec<Notification>, DatabaseError> {
        let rows = self
            .rows(
                "SELECT id, kind, title, message, exception, backup_id, action, time, log_entry_id, message_id,
                 message_log_tag FROM notification ORDER BY id",
                &[],
            )
            .await?;
        rows.iter().map(notification).collect()
    }

    pub(crate) async fn add_notification(&self, new: &Notification) -> Result<i64, DatabaseError> {
        let rows = self
            .rows(
                "INSERT INTO notification (kind, title, message, exception, backup_id, action, time, log_entry_id,
                 message_id, message_log_tag) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
                &[
                    new.kind.as_str().into(),
                    new.title.as_str().into(),
                    new.message.as_str().into(),
                    new.exception.as_str().into(),
                    new.backup_id.clone().into(),
                    new.action.as_str().into(),
                    new.time.as_str().into(),
                    new.log_entry_id.clone().into(),
                    new.message_id.clone().into(),
                    new.message_log_tag.clone().into(),
                ],
            )
            .await?;
        rows.first().map_or(Ok(0), |row| row.integer(0))
    }

    /// Says whether there was one.
    pub(crate) async fn delete_notification(&self, id: i64) -> Result<bool, DatabaseError> {
        let touched = self
            .execute("DELETE FROM notification WHERE id = $1", &[id.into()])
            .await?;
        Ok(touched > 0)
    }

    pub(crate) async fn delete_notifications_of(&self, backup_id: &str) -> Result<bool, DatabaseError> {
        let touched = self
            .execute(
                "DELETE FROM notification WHERE backup_id = $1",
                &[backup_id.into()],
            )
            .await?;
        Ok(touched > 0)
    }
}

fn notification(row: &Row) -> Result<Notification, DatabaseError> {
    Ok(Notification {
        id: row.integer(0)?,
        kind: row.text(1)?,
        title: row.text(2)?,
        message: row.text(3)?,
        exception: row.text(4)?,
        backup_id: row.optional_text(5)?,
        action: row.text(6)?,
        time: row.text(7)?,
        log_entry_id: row.optional_text(8)?,
        message_id: row.optional_text(9)?,
        message_log_tag: row.optional_text(10)?,
    })
}
