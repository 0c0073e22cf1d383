// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How far the running task is.

use duplicati_actors::{
    events::Phase,
    job_queue::{Job, JobOutcome, JobState},
};
use serde_json::{Value, json};

use crate::rates::Rates;

/// The progress of a task.
pub fn progress(job: &Job, rates: &Rates) -> Value {
    let counters = job.progress.snapshot();
    let is_running = job.state == JobState::Running;
    let phase = phase(job);
    let is_restore = job.kind == "Restore";
    let current = String::from_utf8_lossy(&job.progress.current()).into_owned();
    let (files, bytes) = if is_restore {
        (counters.restored_files, counters.restored_bytes)
    } else {
        (counters.examined_files, counters.examined_bytes)
    };
    let is_counting = is_running && counters.expected_files == 0;
    let has_transfer = is_running && rates.transfer > 0.0;
    let action = if counters.stored_bytes > 0 && !is_restore {
        "Put"
    } else {
        "Get"
    };
    let speed = if has_transfer { rates.transfer as i64 } else { -1 };
    let transfers = if has_transfer {
        json!([{
            "BackendAction": action, "BackendPath": null, "BackendFileSize": 0, "BackendFileProgress": 0,
            "BackendSpeed": speed, "BackendIsBlocking": false,
        }])
    } else {
        json!([])
    };
    let overall = match counters.expected_bytes {
        0 => 0.0,
        expected => (bytes as f64 / expected as f64).min(1.0),
    };
    let left = rates
        .seconds_left(&counters)
        .filter(|_| is_running && !is_counting);
    json!({
        "BackupID": job.backup_id, "TaskID": job.id,
        "BackendAction": action, "BackendPath": null, "BackendFileSize": 0, "BackendFileProgress": 0,
        "BackendSpeed": speed, "BackendIsBlocking": false,
        "CurrentFilename": if current.is_empty() { Value::Null } else { current.into() },
        "CurrentFilesize": 0, "CurrentFileoffset": 0, "CurrentFilecomplete": true,
        "Phase": phase, "OverallProgress": overall,
        "ProcessedFileCount": files, "ProcessedFileSize": bytes,
        "TotalFileCount": counters.expected_files.max(files), "TotalFileSize": counters.expected_bytes.max(bytes),
        "StillCounting": is_counting,
        "ActiveTransfers": transfers,
        "RemoteSyncDestinationIndex": 0, "RemoteSyncDestinationCount": 0,
        "EstimatedTimeToCompletion": left.map(|seconds| {
            format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
        }),
    })
}

/// The phase by Duplicati's name.
pub fn phase(job: &Job) -> &'static str {
    match &job.state {
        JobState::Waiting => return "Starting_Operation",
        JobState::Ended(JobOutcome::Failed { .. }) => return "Error",
        JobState::Ended(JobOutcome::Completed) => {
            return match job.kind {
                "Backup" => "Backup_Complete",
                "Restore" => "Restore_Complete",
                kind => of_kind(kind),
            };
        }
        JobState::Running => {}
    }
    match (job.kind, job.progress.phase()) {
        ("Backup", Phase::Opening) => "Backup_PreBackupVerify",
        ("Backup", Phase::Working) => "Backup_ProcessingFiles",
        ("Backup", Phase::Committing) => "Backup_WaitForUpload",
        ("Backup", Phase::Done) => "Backup_PostBackupVerify",
        ("Restore", Phase::Opening) => "Restore_Begin",
        ("Restore", Phase::Done) => "Restore_Finalize",
        ("Restore", _) => "Restore_DownloadingRemoteFiles",
        (kind, _) => of_kind(kind),
    }
}

fn of_kind(kind: &str) -> &'static str {
    match kind {
        "Test" => "Verify_Running",
        "Repair" => "Recreate_Running",
        "Compact" => "Backup_Compact",
        "Delete" => "Delete_Deleting",
        "Vacuum" => "Vacuum_Running",
        "CreateReport" => "BugReport_Running",
        "PurgeBrokenFiles" => "PurgeFiles_Process",
        _ => "Starting_Operation",
    }
}
