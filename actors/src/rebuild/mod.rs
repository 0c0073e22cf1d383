// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Makes the local copy of the index again, from nothing but segments.

use std::sync::Arc;

use duplicati_engine::{index::local::LocalState, repository::Repository, storage::ObjectName};
use serde::Serialize;

use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
};

/// What was loaded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RebuildReport {
    /// Segments.
    pub segments: u64,
    /// Packs described by them.
    pub packs: u64,
    /// Chunks in those, counted once for each pack.
    pub chunks: u64,
    /// Bytes fetched.
    pub fetched_bytes: u64,
    /// Segments that cannot be read: `repair` finds their packs.
    pub unreadable: Vec<String>,
}

/// Forgets the local copy and loads it from the target.
///
/// # Errors
/// When the target or the local database fails.
pub async fn run_rebuild(
    repository: Arc<Repository>,
    local: &mut LocalState,
    monitor: Monitor,
    control: RunControl,
) -> Result<RebuildReport, RunError> {
    monitor.progress.set_phase(Phase::Working);
    for id in local.segment_ids()? {
        local.remove_segment(id)?;
    }
    control.check()?;
    let mut report = RebuildReport::default();
    let loaded = repository
        .load_index(Some(local), |_, pack| {
            report.packs += 1;
            report.chunks += pack
                .footer
                .frames
                .iter()
                .map(|frame| frame.chunks.len() as u64)
                .sum::<u64>();
        })
        .await?;
    report.segments = loaded.segments.len() as u64;
    report.fetched_bytes = loaded.downloaded_bytes;
    for (id, error) in &loaded.unreadable {
        let name = ObjectName::from(*id).to_string();
        monitor.tell(
            Severity::Warning,
            "SegmentUnreadable",
            name.as_bytes(),
            error.to_string(),
        );
        report.unreadable.push(name);
    }
    monitor.progress.set_phase(Phase::Done);
    Ok(report)
}
