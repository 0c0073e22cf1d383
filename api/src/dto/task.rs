// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tasks: jobs of the queue.

use duplicati_actors::job_queue::{Job, JobOutcome, JobState, QueueState};
use serde_json::{Value, json};

use super::time;

/// A task by its number.
pub fn task(job: &Job) -> Value {
    let (status, message, exception) = match &job.state {
        JobState::Waiting => ("Waiting", None, None),
        JobState::Running => ("Running", None, None),
        JobState::Ended(JobOutcome::Completed) => ("Completed", None, None),
        JobState::Ended(JobOutcome::Failed { message, detail }) => ("Failed", Some(message), Some(detail)),
    };
    let at = |time: Option<duplicati_engine::clock::Timestamp>| time.map(time::of_clock).map(time::iso);
    json!({
        "Status": status, "ID": job.id, "TaskStarted": at(job.started), "TaskFinished": at(job.finished),
        "ErrorMessage": message, "Exception": exception,
    })
}

/// The running task and those that wait; none of them has ended, so all say so.
pub fn queue(state: &QueueState) -> Value {
    let rows = state.active.iter().chain(&state.waiting).map(|job| {
        let mut row = task(job);
        row["Status"] = "Running".into();
        row
    });
    Value::Array(rows.collect())
}

/// The answer to whoever started a task.
pub fn started(id: u64) -> Value {
    json!({"Status": "OK", "ID": id})
}
