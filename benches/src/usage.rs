// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a stretch of work cost this process.

use std::time::Duration;

use duplicati_engine::clock::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};

/// Time that a piece of work took.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub wall: Duration,
    /// User and system time of all threads.
    pub cpu: Duration,
}

/// Runs work and says what it cost.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    let (wall, cpu) = (SystemClock.monotonic(), cpu_time());
    let done = work();
    let usage = Usage {
        wall: SystemClock.monotonic() - wall,
        cpu: cpu_time() - cpu,
    };
    (done, usage)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The most memory that the process has had in its life, bytes.
pub fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
