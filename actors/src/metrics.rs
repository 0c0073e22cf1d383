// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every metric name and label. Values carry the label `stage`; no paths, ids or URLs ever become labels.

use std::time::Duration;

use metrics::{counter, gauge};

/// Messages waiting in a stage's inlet.
pub const QUEUE_ITEMS: &str = "duplicati_pipeline_queue_items";
/// Time that the stages before waited for room in this inlet, seconds.
pub const BACKPRESSURE_SECONDS: &str = "duplicati_pipeline_backpressure_seconds_total";
/// Messages that entered a stage.
pub const ITEMS: &str = "duplicati_pipeline_items_total";
/// Bytes that entered a stage.
pub const BYTES: &str = "duplicati_pipeline_bytes_total";
/// Processor time that the threads of a stage used, seconds. Stages of tasks have none of their own: they share the runtime's threads.
pub const CPU_SECONDS: &str = "duplicati_pipeline_cpu_seconds_total";
/// Time that work waited for bytes of the budget, seconds: the target has not taken enough yet.
pub const BUDGET_WAIT_SECONDS: &str = "duplicati_pipeline_budget_wait_seconds_total";
/// Bytes of the byte budget in use.
pub const BUDGET_BYTES: &str = "duplicati_pipeline_budget_bytes";

/// Counts a message that enters a stage.
pub fn entered(stage: &'static str, bytes: u64, queue: usize) {
    counter!(ITEMS, "stage" => stage).increment(1);
    counter!(BYTES, "stage" => stage).increment(bytes);
    gauge!(QUEUE_ITEMS, "stage" => stage).set(queue as f64);
}

/// Counts time spent waiting for room.
pub fn waited(stage: &'static str, time: Duration) {
    gauge!(BACKPRESSURE_SECONDS, "stage" => stage).increment(time.as_secs_f64());
}

/// Counts processor time when a thread of a stage ends.
pub fn worked(stage: &'static str, time: Duration) {
    gauge!(CPU_SECONDS, "stage" => stage).increment(time.as_secs_f64());
}

/// Counts time spent waiting for bytes of the budget.
pub fn waited_for_budget(time: Duration) {
    gauge!(BUDGET_WAIT_SECONDS).increment(time.as_secs_f64());
}

/// Tells how much of the byte budget is in use.
pub fn budget_used(bytes: u64) {
    gauge!(BUDGET_BYTES).set(bytes as f64);
}
