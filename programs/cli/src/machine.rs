// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a run asks of the machine: its share of the disk, and numbers about itself in a file.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use duplicati_programs_common::{Options, UserError, error_id::ids};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::logging::Log;

/// The class of disk use in which others go first.
const IDLE_CLASS: &str = "3";

/// Lets everybody else use the disk first. Must run before threads are started, which take it over.
pub fn lower_disk_priority(options: &Options, log: &Log) {
    if !options.bool("use-background-io-priority") {
        return;
    }
    let outcome = Command::new("ionice")
        .args(["-c", IDLE_CLASS, "-p", &std::process::id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let reason = match outcome {
        Ok(status) if status.success() => return,
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    log.warning(
        "PriorityNotSet",
        &format!("--use-background-io-priority: the program ionice did not set the priority: {reason}"),
    );
}

/// The numbers that this process collects about itself, from the first call on; none where another part of the process collects them.
pub fn metrics() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| PrometheusBuilder::new().install_recorder().ok())
        .clone()
}

/// Processor time that this process has used.
pub fn process_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Numbers that are collected for a file.
pub struct MetricsFile {
    path: PathBuf,
    handle: PrometheusHandle,
}

impl MetricsFile {
    /// Begins to collect when a file is named.
    pub fn start(options: &Options) -> Result<Option<Self>, UserError> {
        let Some(path) = options.path("metrics-file") else {
            return Ok(None);
        };
        let handle = metrics().ok_or_else(|| {
            UserError::failed(
                ids::UNEXPECTED_FAILURE,
                "failed to collect numbers for --metrics-file: another part of this process collects them",
            )
        })?;
        Ok(Some(Self {
            path: path.to_owned(),
            handle,
        }))
    }

    /// Writes the file; beside and then renamed, because a collector may read it at any time.
    pub fn write(&self, log: &Log) {
        let beside = self.path.with_extension("tmp");
        let written =
            std::fs::write(&beside, self.handle.render()).and_then(|()| std::fs::rename(&beside, &self.path));
        if let Err(error) = written {
            log.warning(
                "MetricsNotWritten",
                &format!(
                    "failed to write the file {} of --metrics-file: {error}",
                    self.path.display()
                ),
            );
        }
    }
}
