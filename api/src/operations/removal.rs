// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Removing a job, and with it what it stored if that is asked for.

use std::sync::Arc;

use duplicati_actors::job_queue::{JobOutcome, JobRequest};

use super::{Operation, arguments};
use crate::{error::Answer, hub::Change, model::Backup, state::App};

/// What goes besides the job itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    pub remote_files: bool,
    pub local_database: bool,
}

/// Queues the removal of a job.
///
/// # Errors
/// When too many jobs wait.
pub async fn enqueue(app: &App, backup: Backup, removal: Removal) -> Answer<u64> {
    let state = Arc::clone(app);
    let id = backup.id.clone();
    let request = JobRequest::new(Some(id), "Delete", move |_| remove(state, backup, removal));
    Ok(app.queue.enqueue(request).await?)
}

async fn remove(app: App, backup: Backup, removal: Removal) -> JobOutcome {
    let failed = |message: String| JobOutcome::Failed {
        message,
        detail: String::new(),
    };
    if removal.remote_files {
        let look = arguments::of(&app, &backup, &Operation::new("ListFilesets", "list-filesets"));
        if let Err(error) = app.commands.remove_repository(look).await {
            // The job stays, so that somebody can try again.
            return failed(error.message);
        }
    }
    if removal.local_database
        && let Err(error) = remove_local_database(&app, &backup)
    {
        return failed(error);
    }
    if backup.is_temporary() {
        app.remove_temporary(&backup.id);
    } else if let Err(error) = app.database.delete_backup(&backup.id).await {
        tracing::error!(%error, backup = %backup.id, "failed to remove a job");
        return failed("the job could not be removed from the server database".to_owned());
    }
    app.hub.tell(Change::Backups);
    app.hub.tell(Change::Notifications);
    app.wake_scheduler();
    JobOutcome::Completed
}

/// Removes the files of a local database. It is only a copy: a repair makes it again.
///
/// # Errors
/// In words, when a file stays.
pub fn remove_local_database(app: &App, backup: &Backup) -> Result<(), String> {
    let path = app.database_path(backup);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!(
                    "failed to remove {}: {error}",
                    std::path::Path::new(&name).display()
                ));
            }
        }
    }
    Ok(())
}
