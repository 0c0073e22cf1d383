// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The state of the server as a whole.

use std::sync::PoisonError;

use serde_json::{Value, json};

use super::time;
use crate::state::State;

/// The state now.
pub fn server_status(state: &State) -> Value {
    let queue = state.queue.state();
    let (events, data, notifications) = state.hub.counters();
    let pair = |id: u64, backup: &Option<String>| json!({"Item1": id, "Item2": backup});
    let has_error = state.settings.is_on("unacked-error");
    let has_warning = state.settings.is_on("unacked-warning");
    let icon = match (&queue.active, queue.is_paused) {
        (Some(_), true) => "ActivePaused",
        (Some(_), false) => "Active",
        (None, true) => "Paused",
        (None, false) if has_error => "ReadyError",
        (None, false) if has_warning => "ReadyWarning",
        (None, false) => "Ready",
    };
    let pause_end = *state.pause_end.lock().unwrap_or_else(PoisonError::into_inner);
    let proposed = state.scheduler.get().map(|scheduler| scheduler.proposed());
    let proposed: Vec<Value> = proposed
        .iter()
        .flat_map(|proposed| proposed.iter())
        .map(|(id, next)| json!({"Item1": id, "Item2": time::iso(*next)}))
        .collect();
    json!({
        "ActiveTask": queue.active.as_ref().map(|job| pair(job.id, &job.backup_id)),
        "ProgramState": if queue.is_paused { "Paused" } else { "Running" },
        "SchedulerQueueIds": queue.waiting.iter().map(|job| pair(job.id, &job.backup_id)).collect::<Vec<_>>(),
        "ProposedSchedule": proposed,
        "HasWarning": has_warning,
        "HasError": has_error,
        "SuggestedStatusIcon": icon,
        "EstimatedPauseEnd": pause_end.filter(|_| queue.is_paused).map_or_else(|| time::NEVER_UTC.to_owned(), time::iso),
        "LastEventID": events,
        "LastDataUpdateID": data,
        "LastNotificationUpdateID": notifications,
        "UpdatedVersion": null,
        "UpdateDownloadLink": null,
        "UpdaterState": "Waiting",
        "UpdateDownloadProgress": 0.0,
        "Type": "legacystatus",
    })
}
