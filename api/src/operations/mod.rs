// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What jobs of the queue do: a stored job becomes a command line, and its end becomes logs, metadata and messages.
//!
//! Reading order: [`arguments`], here [`enqueue`], then [`ended`].

pub mod arguments;
pub mod ended;
pub mod listing;
pub mod removal;

use std::{
    ffi::OsString,
    sync::{Arc, OnceLock},
};

use duplicati_actors::job_queue::{JobContext, JobOutcome, JobRequest};
use jiff::Timestamp;

use crate::{
    commands_port::{CommandCall, CommandEnd, LogLine, LogListener},
    database::{DatabaseError, logs::Notification},
    error::Answer,
    hub::Change,
    live_log::LiveLine,
    model::Backup,
    state::{App, State},
};

/// One operation on a job.
#[derive(Clone)]
pub struct Operation {
    /// As in results and progress: `Backup`, `Restore`, …
    pub kind: &'static str,
    /// The command that does it.
    pub command: &'static str,
    /// Arguments behind the destination.
    pub arguments: Vec<OsString>,
    /// Options of this run, which win over those of the job.
    pub options: Vec<(String, String)>,
    /// When the next run by schedule is due, if a schedule started this one.
    pub next: Option<Timestamp>,
}

impl Operation {
    /// An operation without anything special.
    pub fn new(kind: &'static str, command: &'static str) -> Self {
        Self {
            kind,
            command,
            arguments: Vec::new(),
            options: Vec::new(),
            next: None,
        }
    }

    /// Adds an argument behind the destination.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an option.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.options.push((name.to_owned(), value.into()));
        self
    }
}

/// Queues an operation and gives the number of the task.
///
/// # Errors
/// When too many wait.
pub async fn enqueue(app: &App, backup_id: &str, operation: Operation, first: bool) -> Answer<u64> {
    let is_backup = operation.kind == "Backup";
    let (state, id) = (Arc::clone(app), backup_id.to_owned());
    let request = JobRequest::new(Some(backup_id.to_owned()), operation.kind, move |context| {
        run(state, id, operation, context)
    })
    .first(first);
    let request = if is_backup { request.once() } else { request };
    Ok(app.queue.enqueue(request).await?)
}

async fn run(app: App, backup_id: String, operation: Operation, context: JobContext) -> JobOutcome {
    let began = app.now();
    // Read now, because the job may have been changed while this waited.
    let backup = match app.backup(&backup_id).await {
        Ok(backup) => backup,
        Err(error) => {
            return JobOutcome::Failed {
                message: error.message,
                detail: String::new(),
            };
        }
    };
    let task = context.id;
    let end = app
        .commands
        .run(CommandCall {
            arguments: arguments::of(&app, &backup, &operation),
            control: context.control,
            progress: context.progress,
            listener: listener(&app, Some(backup.id.clone()), Some(task)),
            is_json: true,
        })
        .await;
    ended::ended(&app, &backup, &operation, began, &end).await;
    outcome(&end)
}

/// What the queue is told of a command's end.
pub fn outcome(end: &CommandEnd) -> JobOutcome {
    match &end.error {
        None => JobOutcome::Completed,
        Some(error) => JobOutcome::Failed {
            message: error.message.clone(),
            detail: format!("{}: {}", error.id, error.message),
        },
    }
}

/// Takes a command's log lines into the live log.
pub fn listener(state: &State, backup_id: Option<String>, task_id: Option<u64>) -> LogListener {
    let (log, clock) = (Arc::clone(&state.live_log), Arc::clone(&state.clock));
    Arc::new(move |line: LogLine| {
        log.add(LiveLine {
            when: crate::dto::time::of_clock(clock.now()),
            level: line.level,
            tag: line.tag,
            message_id: line.id,
            text: line.text,
            backup_id: backup_id.clone(),
            task_id,
        });
    })
}

/// The id of a warning that must not be lost: the destination holds another repository than this machine has used there.
const EXCHANGED: &str = "RepositoryChanged";

/// Runs a command for a job outside of the queue: something that only reads. A repository that was exchanged can be looked at, and the user is
/// told; backups to it are refused by themselves.
pub async fn read(app: &App, backup: &Backup, operation: &Operation) -> CommandEnd {
    let doubt = Arc::new(OnceLock::new());
    let heard = Arc::clone(&doubt);
    let end = app
        .commands
        .run(CommandCall {
            arguments: arguments::of(app, backup, operation),
            control: duplicati_actors::control::RunControl::new(),
            progress: Arc::default(),
            listener: Arc::new(move |line: LogLine| {
                if line.id == EXCHANGED {
                    let _first = heard.set(line.text).is_ok();
                }
            }),
            is_json: true,
        })
        .await;
    if let Some(doubt) = doubt.get()
        && let Err(error) = tell_of_exchange(app, backup, doubt).await
    {
        tracing::error!(%error, backup = %backup.id, "failed to note that a repository was exchanged");
    }
    end
}

/// Leaves a message, unless there is one already.
async fn tell_of_exchange(app: &App, backup: &Backup, doubt: &str) -> Result<(), DatabaseError> {
    let is_same = |one: &Notification| {
        one.backup_id.as_ref() == Some(&backup.id) && one.message_id.as_deref() == Some(EXCHANGED)
    };
    if app.database.notifications().await?.iter().any(is_same) {
        return Ok(());
    }
    tracing::warn!(id = EXCHANGED, backup = %backup.id, "{doubt}");
    let notification = Notification {
        kind: "Warning".to_owned(),
        title: format!("The destination of {} was exchanged", backup.name),
        message: doubt.to_owned(),
        backup_id: Some(backup.id.clone()),
        time: crate::dto::time::iso(app.now()),
        message_id: Some(EXCHANGED.to_owned()),
        ..Notification::default()
    };
    app.database.add_notification(&notification).await?;
    ended::recount_unread(app).await?;
    app.hub.tell(Change::Notifications);
    Ok(())
}

/// Notes an unread warning or error, and tells everybody.
pub async fn set_unread(app: &App, name: &str, is_set: bool) {
    let value = if is_set { "True" } else { "False" };
    if app.settings.server_or_default(name) == value {
        return;
    }
    let stored = app
        .settings
        .set_server(&app.database, &[(name.to_owned(), Some(value.to_owned()))])
        .await;
    if let Err(error) = stored {
        tracing::error!(%error, "failed to note that there is something to look at");
    }
    app.hub.tell(Change::Status);
}
