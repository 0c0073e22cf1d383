// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the destination holds after a backup, and how near that is to the space there is.

use std::path::Path;

use duplicati_engine::storage::ObjectKind;
use serde_json::{Value, json};

use crate::{connection::Connection, failure::Outcome, invocation::Invocation, output::text};

/// What a result says of a number that is not known.
const UNKNOWN: i64 = -1;

/// Counts and sizes.
#[derive(Debug, Default, Clone)]
pub struct Holdings {
    files: u64,
    bytes: u64,
    foreign_files: u64,
    versions: u64,
    free_bytes: Option<u64>,
    total_bytes: Option<u64>,
    quota_bytes: Option<u64>,
    is_over: bool,
    is_near: bool,
    time: String,
}

/// Lists the destination and warns when space runs short; that never stops a backup.
pub async fn count(invocation: &Invocation, connection: &Connection) -> Outcome<Holdings> {
    let store = &connection.repository.store;
    let mut held = Holdings {
        time: invocation.begin.timestamp().to_string(),
        ..Holdings::default()
    };
    for kind in [
        ObjectKind::Config,
        ObjectKind::Key,
        ObjectKind::Pack,
        ObjectKind::IndexSegment,
        ObjectKind::Snapshot,
    ] {
        let listing = store.list(kind).await?;
        let count = listing.objects.len() as u64;
        held.files += count;
        held.bytes += listing.objects.iter().map(|info| info.size_bytes).sum::<u64>();
        held.foreign_files += listing.foreign.len() as u64;
        if kind == ObjectKind::Snapshot {
            held.versions = count;
        }
    }
    let options = &invocation.options;
    held.quota_bytes = options.size("quota-size").filter(|size| *size > 0);
    if !options.bool("quota-disable") {
        (held.free_bytes, held.total_bytes) = space(invocation);
    }
    let threshold = options
        .integer("quota-warning-threshold")
        .unwrap_or_default()
        .max(0);
    held.judge(u64::try_from(threshold).unwrap_or_default());
    if held.is_over {
        invocation.log.warning(
            "QuotaExceeded",
            &held.sentence("is larger than --quota-size allows"),
        );
    } else if held.is_near {
        invocation.log.warning(
            "QuotaNear",
            &held.sentence("leaves less space than --quota-warning-threshold"),
        );
    }
    Ok(held)
}

/// Free and total bytes where the destination is a folder of this machine.
fn space(invocation: &Invocation) -> (Option<u64>, Option<u64>) {
    let destination = invocation
        .destination_text()
        .and_then(|text| {
            duplicati_programs_common::destination::Destination::parse(
                text,
                &invocation.environment.current_folder,
            )
            .ok()
        })
        .filter(|destination| destination.scheme == "file");
    let Some(destination) = destination else {
        return (None, None);
    };
    match rustix::fs::statvfs(Path::new(&destination.path)) {
        Ok(facts) => (
            Some(facts.f_bavail.saturating_mul(facts.f_frsize)),
            Some(facts.f_blocks.saturating_mul(facts.f_frsize)),
        ),
        Err(_) => (None, None),
    }
}

impl Holdings {
    fn judge(&mut self, threshold_percent: u64) {
        let is_short =
            |free: u64, of: u64| u128::from(free) * 100 < u128::from(of) * u128::from(threshold_percent);
        if let Some(quota) = self.quota_bytes {
            self.is_over = self.bytes > quota;
            self.is_near = !self.is_over && is_short(quota - self.bytes, quota);
        }
        if let Some(free) = self.free_bytes {
            self.is_near |= is_short(free, self.bytes.saturating_add(free));
        }
    }

    fn sentence(&self, what: &str) -> String {
        let free = self.free_bytes.map_or_else(String::new, |free| {
            format!(", and {} are free at the destination", text::size(free))
        });
        format!("the backup takes {}{free}: it {what}", text::size(self.bytes))
    }

    /// The keys of `BackendStatistics`.
    pub fn values(&self) -> Value {
        let number = |bytes: Option<u64>| bytes.map_or(json!(UNKNOWN), |bytes| json!(bytes));
        json!({
            "KnownFileCount": self.files,
            "KnownFileSize": self.bytes,
            "KnownFilesets": self.versions,
            "BackupListCount": self.versions,
            "UnknownFileCount": self.foreign_files,
            "UnknownFileSize": 0,
            "LastBackupDate": self.time,
            "TotalQuotaSpace": number(self.total_bytes),
            "FreeQuotaSpace": number(self.free_bytes),
            "AssignedQuotaSpace": number(self.quota_bytes),
            "ReportedQuotaError": self.is_over,
            "ReportedQuotaWarning": self.is_near,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(bytes: u64, quota: Option<u64>, free: Option<u64>) -> (bool, bool) {
        let mut held = Holdings {
            bytes,
            quota_bytes: quota,
            free_bytes: free,
            ..Holdings::default()
        };
        held.judge(10);
        (held.is_over, held.is_near)
    }

    #[test]
    fn space_that_runs_short_is_told_from_space_that_has_run_out() {
        assert_eq!(judged(50, Some(100), None), (false, false));
        assert_eq!(judged(95, Some(100), None), (false, true));
        assert_eq!(judged(101, Some(100), None), (true, false));
        assert_eq!(judged(1000, None, Some(50)), (false, true));
        assert_eq!(judged(1000, None, Some(500)), (false, false));
        assert_eq!(judged(0, None, None), (false, false));
    }
}
